"""Rows of a table to columns, and back: what a key has in a table, as the passes of a model take it."""

from __future__ import annotations

import numpy as np

from . import compiled
from .parameters import Array

__all__ = ["gather", "rows_of", "scatter"]


def rows_of(indices: Array) -> Array:
    """The rows of a table at `indices` ``(n,)``, where ``~row`` stands for a row that begins from zeros."""
    rows: Array = indices ^ (indices >> 63)
    return rows


def gather(table: Array, indices: Array, rows: Array, columns: Array) -> None:
    """Copy rows of `table` ``(keys, U)`` into `rows` ``(n, U)`` and `columns` ``(U, n)``, where ``~row`` gives zeros.

    `indices` ``(n,)`` are int64, and none is beyond the table.
    """
    if compiled.has("gather", table.dtype):
        compiled.bind("gather", rows, table, indices, columns)()
        return
    np.take(table, rows_of(indices), axis=0, out=rows, mode="clip")
    np.copyto(columns, rows.T)
    columns[:, indices < 0] = 0


def scatter(columns: Array, indices: Array, rows: Array, table: Array) -> None:
    """Copy `columns` ``(U, n)`` into rows of `table` ``(keys, U)``, by way of `rows` ``(n, U)``; see `gather`."""
    if compiled.has("scatter", table.dtype):
        compiled.bind("scatter", columns, indices, rows, table)()
        return
    np.copyto(rows, columns.T)
    table[rows_of(indices)] = rows
