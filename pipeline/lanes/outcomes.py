"""Forecasts that are kept until the truth comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from .live import Arrivals, Arrived, LateTruths, Truths
from .rings import grown

__all__ = ["ByKey", "BySlot", "Outcomes"]


class Outcomes(NamedTuple):
    """`m` forecasts whose truth has come: the ``rows`` ``(m,)`` of their keys; the others are ``(m, F)``."""

    rows: Array
    forecasts: Array
    naive: Array
    truths: Array


class ByKey:
    """Keeps the last forecasts of each of `keys` keys, for truths `horizons` records later."""

    def __init__(self, keys: int, horizons: list[int]) -> None:
        self._horizons, self._depth = horizons, max(1, *horizons)
        self._past = np.zeros((keys, self._depth, 2, len(horizons)))  # forecast and naive forecast

    def take(self, arrivals: Arrivals, forecasts: Array) -> Outcomes:
        """What these records say, where the `forecasts` of those before their `stop` are there.

        After the last, those of each key are kept.
        """
        arrived, start, stop, _ = arrivals
        truths, part = arrived.truths, slice(start, stop)
        assert isinstance(truths, Truths)
        truth, rows, pos = truths.values[part], rows_of(arrived.rows[part]), truths.pos[part]
        made, naive = np.empty_like(truth), np.empty_like(truth)
        for j, h in enumerate(self._horizons):
            origin = truths.origin[part, j]
            inside = origin >= 0
            past = self._past[rows, (pos - h) % self._depth, :, j]
            made[:, j] = np.where(inside, forecasts[origin, j], past[:, 0])
            naive[:, j] = np.where(inside, arrived.naive[origin, j], past[:, 1])
        if stop == len(arrived.rows):
            place = truths.pos % self._depth
            self._past[rows_of(arrived.rows), place] = np.stack((forecasts, arrived.naive), axis=1)
        return Outcomes(rows, made, naive, truth)

    def dump(self, rows: int, slots: Sequence[int]) -> Part:
        """Those of the first `rows` of the table."""
        return Part({"past": self._past[:rows].copy()}, {})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._past[:rows] = part.array("past", (rows, *self._past.shape[1:]), self._past.dtype)


class BySlot:
    """Keeps the forecasts of the records that wait in slots, of `width` targets."""

    def __init__(self, width: int) -> None:
        self._kept = np.zeros((0, 2, width))
        self._arrived: Arrived | None = None  # those that came last,
        self._told = 0  # and how many of their labels have been told

    def take(self, arrivals: Arrivals, forecasts: Array) -> Outcomes:
        """See `ByKey.take`; and what the labels say that were not told before."""
        arrived, start, stop, labels = arrivals
        truths = arrived.truths
        assert isinstance(truths, LateTruths)
        if self._arrived is not arrived:
            self._arrived, self._told = arrived, 0
        slots = truths.slots[start:stop]
        self._kept = grown(self._kept, int(slots.max(initial=-1)) + 1)
        self._kept[slots] = np.stack((forecasts[start:stop], arrived.naive[start:stop]), axis=1)
        part, self._told = slice(self._told, labels), labels
        kept = self._kept[truths.of[part]]
        return Outcomes(truths.rows[part], kept[:, 0], kept[:, 1], truths.values[part])

    def dump(self, rows: int, slots: Sequence[int]) -> Part:
        """Those of the records in these slots, in this order."""
        return Part({"kept": self._kept[slots]}, {})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave, in the slots 0, 1, 2 … Raises ArgumentError."""
        self._kept = part.array("kept", ("slots", *self._kept.shape[1:]), self._kept.dtype).copy()
