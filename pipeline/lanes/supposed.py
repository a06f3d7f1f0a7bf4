"""Records that have not come: what would be said of them if they did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.base.parameters import Array

__all__ = ["Supposed", "first_of"]


class Supposed(NamedTuple):
    """`n` records that are supposed to come next, of up to m keys.

    ``given`` ``(n,)`` are the places of their keys among these, ``~place`` for the first record of a new one; for the
    others see `recurrio.pipeline.lanes.live.Arrived`.
    """

    compact: Array
    centre: Array
    scale: Array
    classes: Array | None
    given: Array


def first_of(places: Array, known: Array) -> Array:
    """The `places` ``(n,)`` of keys, and ``~place`` where one begins that is not `known` ``(m,)``."""
    first = np.zeros(len(places), bool)
    first[np.unique(places, return_index=True)[1]] = True
    return np.where(first & ~known[places], ~places, places)
