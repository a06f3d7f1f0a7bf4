"""The edit distance: how many symbols are wrong."""

from __future__ import annotations

import numpy as np

from ..base.parameters import Array

__all__ = ["edit_distance"]


def edit_distance(written: Array, wanted: Array) -> int:
    """How many symbols must be put in, taken out or replaced to make `wanted` ``(n,)`` of `written` ``(m,)``."""
    places = np.arange(len(wanted) + 1)
    distances = places  # of what was written so far to each beginning of what was wanted
    for symbol in written:
        after = distances + 1
        after[1:] = np.minimum(after[1:], distances[:-1] + (wanted != symbol))
        distances = np.minimum.accumulate(after - places) + places
    return int(distances[-1])
