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
from .compiled import Call
from .parameters import Array

__all__ = ["Product", "bind_product", "bind_scaled", "empty_weights", "multiply", "multiply_by_lane"]

Product = Callable[[Array, Array], Array]  # of a matrix (M, K) and columns (K, N)


def empty_weights(rows: int, columns: int, lanes: int, dtype: np.dtype, arena: Arena) -> Array:
    """Room for a matrix ``(rows, columns)`` in the order in which its products with `lanes` columns are fastest."""
    if lanes < 8 and compiled.has("product", dtype):
        return arena.empty((columns, rows), dtype).T  # the rows of a column side by side
    return arena.empty((rows, columns), dtype)


def bind_product(matrix: Array, x: Array, out: Array) -> Call:
    """A call that writes the product of `matrix` ``(M, K)`` and `x` ``(K, N)`` into `out`."""
    if compiled.has("product", out.dtype):
        return compiled.bind("product", matrix, x, out)
    # The same bits, but for a single column dot starts 0.7 µs sooner. It takes an `out` in one piece only.
    by_dot = x.shape[1] == 1 and out.flags.c_contiguous
    return partial(np.ndarray.dot if by_dot else np.matmul, matrix, x, out)


def bind_scaled(matrix: Array, factors: Array, out: Array) -> Call:
    """A call that writes the rows of `matrix` ``(M, N)``, each times its factor ``(M, 1)``, into `out`."""
    if compiled.has("scale", out.dtype):
        return compiled.bind("scale", matrix, factors, out)
    return partial(np.multiply, matrix, factors, out)


def multiply(matrix: Array, x: Array, out: Array) -> None:
    """The same, now."""
    bind_product(matrix, x, out)()


def multiply_by_lane(matrix: Array, x: Array) -> Array:
    """The product of `matrix` ``(M, K)`` and `x` ``(K, N)``: a column has the same bits whatever stands beside it.

    The kernel keeps to that, a BLAS does not; without the kernel the sums are made element by element, in order.
    """
    if compiled.has("product", x.dtype) and x.size:
        out = np.empty((len(matrix), x.shape[1]), x.dtype)
        multiply(matrix, np.ascontiguousarray(x), out)
        return out
    out = np.zeros((len(matrix), x.shape[1]), x.dtype)
    for column, row in zip(matrix.T, x, strict=True):
        out += np.multiply.outer(column, row)
    return out
