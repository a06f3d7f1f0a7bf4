"""What scores are told of, checked."""

from __future__ import annotations

import numpy as np

from ...base.checks import ArgumentError, check_array
from ...base.parameters import Array

__all__ = ["INT64", "LEAST", "as_lines", "check_rows"]

INT64 = np.dtype(np.int64)
LEAST = 20  # labels of a key that say something of it


def check_rows(rows: Array, capacity: int) -> None:
    """Raise ArgumentError unless these are rows of a table."""
    check_array("rows", rows, ("n",), INT64)
    if len(rows) and not (rows.min() >= 0 and rows.max() < capacity):
        raise ArgumentError("rows", f"rows from 0 to {capacity - 1}", f"{rows.min()} to {rows.max()}")


def as_lines(array: Array, width: int) -> Array:
    """A single target's ``(n,)`` as ``(n, 1)``."""
    return array[:, None] if width == 1 and np.ndim(array) == 1 else array
