"""Copies between the layout of users, ``(T, B, features)``, and that of the kernels, a row for each feature."""

from __future__ import annotations

from functools import partial
from operator import setitem

import numpy as np

from . import compiled
from .compiled import Call
from .parameters import Array

__all__ = ["bind_copy", "copy_columns", "copy_matrix"]


def copy_columns(values: Array, out: Array) -> None:
    """Copy `values` ``(features, T, B)`` into `out`; either can be a view of an array in the other layout."""
    if not values.size:  # a rank can have no features
        return
    lanes, (_, step, lane), (_, out_step, out_lane) = values.shape[2], values.strides, out.strides
    is_flat = step == lanes * lane and out_step == lanes * out_lane  # the last two axes can be taken as one
    if is_flat and compiled.has("transpose", out.dtype):
        copy_matrix(values.reshape(len(values), -1), out.reshape(len(out), -1))
    elif values.shape[0] * values.shape[2] < 2048 or values.strides[2] == values.itemsize:
        np.copyto(out, values)
    else:
        # Step by step: copied whole, NumPy would read across the rows, which takes up to three times as long.
        for t in range(values.shape[1]):
            np.copyto(out[:, t], values[:, t])


def bind_copy(values: Array, out: Array) -> Call:
    """A call that copies `values` ``(M, N)`` into `out`; rows of one and columns of the other can be in one piece."""
    can = compiled.has("transpose", out.dtype) and values.dtype == out.dtype and values.flags.aligned
    if can and values.strides[0] == values.itemsize == out.strides[1]:
        return compiled.bind("transpose", values.T, out)
    if can and values.strides[1] == values.itemsize == out.strides[0]:
        return compiled.bind("transpose", values, out.T)
    return partial(setitem, out, ..., values)  # which starts sooner than copyto


def copy_matrix(values: Array, out: Array) -> None:
    """The same, now."""
    bind_copy(values, out)()
