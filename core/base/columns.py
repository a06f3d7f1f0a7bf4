"""Copies between the layout of users, ``(T, B, features)``, and that of the kernels, a row for each feature."""

from __future__ import annotations

import numpy as np

from . import compiled
from .parameters import Array

__all__ = ["copy_columns", "copy_matrix"]


def copy_columns(values: Array, out: Array) -> None:
    """Copy `values` ``(features, T, B)`` into `out`; either can be a view of an array in the other layout."""
    if not values.size:  # a rank can have no features
        return
    if compiled.has("transpose", out.dtype) and _is_flat(values) and _is_flat(out):
        copy_matrix(values.reshape(len(values), -1), out.reshape(len(out), -1))
    elif values.shape[0] * values.shape[2] < 2048 or values.strides[2] == values.itemsize:
        np.copyto(out, values)
    else:
        # Step by step: copied whole, NumPy would read across the rows, which takes up to three times as long.
        for step in range(values.shape[1]):
            np.copyto(out[:, step], values[:, step])


def copy_matrix(values: Array, out: Array) -> None:
    """Copy `values` ``(M, N)`` into `out`, where the rows of one and the columns of the other can be in one piece."""
    can = compiled.has("transpose", out.dtype) and values.dtype == out.dtype and values.flags.aligned
    if can and values.strides[0] == values.itemsize == out.strides[1]:
        compiled.bind("transpose", values.T, out)()
    elif can and values.strides[1] == values.itemsize == out.strides[0]:
        compiled.bind("transpose", values, out.T)()
    else:
        np.copyto(out, values)


def _is_flat(array: Array) -> bool:
    """Whether the last two axes can be taken as one."""
    return bool(array.strides[1] == array.shape[2] * array.strides[2])
