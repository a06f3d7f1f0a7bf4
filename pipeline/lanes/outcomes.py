"""What was said of records, which is kept until the truth comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from .live import Arrivals, Arrived, LateTruths, Truths
from .rings import grown

__all__ = ["ByKey", "BySlot", "Coming"]


class Coming(NamedTuple):
    """The `m` truths that come among n records: each before what is said of the record ``at`` ``(m,)`` is said.

    ``rows`` ``(m,)`` are those of their keys, ``truths`` are ``(m, F)``. ``said(first, last, done)`` is what was said
    of those from `first` to before `last`, ``(…, F, C)``, where it has been said of the first `done` of the records; −1
    is all of them.
    """

    at: Array
    rows: Array
    truths: Array
    said: Callable[[int, int, int], Array]


class ByKey:
    """Keeps what was last said of each of `keys` keys, in `columns` C a target, for truths `horizons` records later."""

    def __init__(self, keys: int, horizons: list[int], columns: int) -> None:
        self._horizons, self._depth = horizons, max(horizons)  # with 0, no truth is of a record that came before
        self._behind = int(min(horizons) == 0)  # the truth comes behind what is said of its record
        self._past = np.zeros((keys, self._depth, len(horizons), columns))

    def coming(self, arrivals: Arrivals, said: Array) -> Coming:
        """The truths that come with these records; ``said`` ``(…, F, C)`` is written to as it is said of them."""
        arrived, start, stop, _ = arrivals
        truths, part = arrived.truths, slice(start, stop)
        assert isinstance(truths, Truths)
        rows, pos = rows_of(arrived.rows[part]), truths.pos[part]
        origin, past = truths.origin[part], np.empty((stop - start, *said.shape[1:]))
        for j, h in enumerate(self._horizons if self._depth else ()):
            past[:, j] = self._past[rows, (pos - h) % self._depth, j]

        def said_of(first: int, last: int, done: int) -> Array:
            found = past[first:last]
            for j in range(len(self._horizons)):
                inside = np.flatnonzero(origin[first:last, j] >= 0)
                found[inside, j] = said[origin[first:last, j][inside], j]
            return found

        return Coming(np.arange(stop - start) + self._behind, rows, truths.values[part], said_of)

    def keep(self, arrived: Arrived, said: Array) -> None:
        """What was said of these records, all of which have been, is to be kept."""
        assert isinstance(arrived.truths, Truths)
        if self._depth:
            self._past[rows_of(arrived.rows), arrived.truths.pos % self._depth] = said

    def dump(self, rows: int, slots: Sequence[int]) -> Part:
        """Those of the first `rows` of the table."""
        return Part({"past": self._past[:rows].copy()}, {})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._past[:rows] = part.array("past", (rows, *self._past.shape[1:]), self._past.dtype)


class BySlot:
    """Keeps what was said of the records that wait in slots, in `columns` C, or more, for each of `width` targets."""

    def __init__(self, width: int, columns: int) -> None:
        self._kept = np.zeros((0, width, columns))
        self._arrived: Arrived | None = None  # those that came last,
        self._told = 0  # and how many of their labels have been told

    def coming(self, arrivals: Arrivals, said: Array) -> Coming:
        """See `ByKey.coming`; and the labels that were not told before."""
        arrived, start, stop, labels = arrivals
        truths = arrived.truths
        assert isinstance(truths, LateTruths)
        if self._arrived is not arrived:
            self._arrived, self._told = arrived, 0
        slots = truths.slots[start:stop]
        if (more := said.shape[2] - self._kept.shape[2]) > 0:  # of classes that were not known before
            self._kept = np.pad(self._kept, [(0, 0), (0, 0), (0, more)], constant_values=-np.inf)
        self._kept = grown(self._kept, int(slots.max(initial=-1)) + 1)
        part, self._told = slice(self._told, labels), labels
        of, written = truths.of[part], 0

        def said_of(first: int, last: int, done: int) -> Array:
            nonlocal written
            done = len(slots) if done < 0 else done
            self._kept[slots[written:done], :, : said.shape[2]] = said[start + written : start + done]
            written = done
            return self._kept[of[first:last]]

        at = np.minimum(np.maximum(truths.at[part] - start, 0), stop - start)
        return Coming(at, truths.rows[part], truths.values[part], said_of)

    def keep(self, arrived: Arrived, said: Array) -> None:
        """See `ByKey.keep`; they have been kept."""

    def dump(self, rows: int, slots: Sequence[int]) -> Part:
        """Those of the records in these slots, in this order."""
        return Part({"kept": self._kept[slots]}, {})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave, in the slots 0, 1, 2 … Raises ArgumentError."""
        self._kept = part.array("kept", ("slots", self._kept.shape[1], "columns"), self._kept.dtype).copy()
