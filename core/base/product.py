"""Products with few columns, again and again, like the ``W·[x; 1; 1; h]`` of each step of a recurrence.

A BLAS brings both matrices into an order of its own before it multiplies. With few columns that is a good part of the
time, and the kernel of ``core/kernels``, which copies nothing, is ahead of it by a fifth and more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from . import compiled
from .arena import Arena
from .parameters import Array

__all__ = ["bind_product", "empty_weights", "multiply"]


def empty_weights(rows: int, columns: int, lanes: int, dtype: np.dtype, arena: Arena) -> Array:
    """Room for a matrix ``(rows, columns)`` in the order in which its products with `lanes` columns are fastest."""
    if lanes % 8 and compiled.has("product", dtype):
        return arena.empty((columns, rows), dtype).T  # the rows of a column side by side
    return arena.empty((rows, columns), dtype)


def bind_product(matrix: Array, x: Array, out: Array) -> Callable[[], object]:
    """A call without arguments that writes the product of `matrix` ``(M, K)`` and `x` ``(K, N)`` into `out`."""
    if compiled.has("product", out.dtype):
        return compiled.bind("product", matrix, x, out)
    # The same bits, but for a single column dot starts 0.7 µs sooner. It takes an `out` in one piece only.
    by_dot = x.shape[1] == 1 and out.flags.c_contiguous
    return partial(np.ndarray.dot if by_dot else np.matmul, matrix, x, out)


def multiply(matrix: Array, x: Array, out: Array) -> None:
    """The same, now."""
    bind_product(matrix, x, out)()
