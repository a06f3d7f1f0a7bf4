"""Scales of numbers that are learned as the records come: each is scaled by what was known before it.

A value enters the statistics clipped, so that one −9999 does not blind them, unless so many are outside that they are
no outliers. Everything is float64, and the same records give the same bits however they are divided into calls.
Letters: n records, C columns (numbers of a record); NaN is a missing value.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count, check_number
from ..base.parameters import Array
from ..base.state import Part
from .updates import BLOCK, pieces

__all__ = ["FLOAT64", "LARGEST", "MOST_CLIP", "Standardiser", "fitting", "reach_of", "scaled", "spread_of"]

MOST_CLIP = 1e6  # deviations
LARGEST = 1e140  # a value beyond enters as this: the squares of such still have a sum
SMALLEST = 1e-150  # a smaller deviation is none: its square would have no digits
ROUNDING = 4 * float(np.finfo(np.float64).eps)  # a deviation below this part of the mean is rounding
FLOAT64 = np.dtype(np.float64)


@np.errstate(over="ignore")
def scaled(values: Array, mean: Array, deviation: Array, clip: float) -> Array:
    """``(values − mean) / deviation``, at least −`clip` and at most `clip`; NaN stays NaN. All ``(n, C)`` float64.

    Where there is no deviation, which is 0, it is taken for 1.
    """
    z = np.subtract(values, mean)
    np.divide(z, np.where(deviation > 0, deviation, 1.0), z)
    np.maximum(z, -clip, out=z)
    return np.minimum(z, clip, out=z)


def spread_of(variance: Array, mean: Array) -> Array:
    """The deviation, or 0 where there is none but rounding."""
    spread = np.sqrt(variance)
    return spread * (spread > np.maximum(np.abs(mean) * ROUNDING, SMALLEST))


class Standardiser:
    """Running means and deviations of `columns` numbers, one set for all keys.

    They are updated at records 1, 2, 4, … 256, and then at every 256th, counted from 0 over all records that were ever
    given: the update at record m takes in all those before m, and record n is scaled by the last update at or before
    n. Those up to 256 begin afresh with all records so far; later ones add the last 256 to what was before, which
    fades with a half-life of `half_life` records. A block without a value leaves a column's statistics as they are.

    Before the first update that saw a value of the column, its mean is its first value, also for the record with that
    value, and 0 in records before that. The deviation is 0 where there is none: no update yet, or all values alike.

    At an update, values outside mean ± `clip` deviations enter as that bound. Where that would hit more than one value
    and more than an eighth of the block's, or where there is no deviation yet, as in all updates up to 256, the bound
    is wide enough for the block itself too: its median ± `clip` times the distance from it that seven eighths of the
    values keep (where that is 0: the median distance of those that differ).

    Raises ArgumentError where `columns` is below 0, `half_life` (records) below 1, or `clip` not above 0 and up to 1e6.
    """

    def __init__(self, columns: int, *, half_life: int = 4096, clip: float = 5.0) -> None:
        self.columns = check_count("columns", columns, 0)
        self.half_life = check_count("half_life", half_life)
        self.clip = check_number("clip", clip, 0, MOST_CLIP, open_low=True)
        self.records = 0
        self._fade = 2.0 ** (-BLOCK / self.half_life)
        self._pending = np.zeros((self.columns, BLOCK))  # the records of this block; across, so that sums are in order
        self._unseen = list(range(self.columns))  # columns without a value yet
        self._count, self._mean = np.zeros(self.columns), np.zeros(self.columns)
        self._squares = np.zeros(self.columns)  # the sum of (value − mean)², faded
        self._measure()

    def scale(self, values: Array) -> tuple[Array, Array]:
        """The mean and the deviation ``(n, C)`` to scale each of these records by; then they are taken in.

        `values` ``(n, C)`` float64 are finite, or NaN where missing. Raises ArgumentError for any other array.
        """
        check_array("values", values, ("n", self.columns), FLOAT64)
        mean, deviation = np.empty_like(values, order="C"), np.empty_like(values, order="C")
        for start, stop, due in pieces(self.records, len(values)):
            place = self.records % BLOCK
            mean[start:stop] = self._mean
            deviation[start:stop] = self._spread
            self._pending[:, place : place + stop - start] = values[start:stop].T
            if self._unseen:
                self._meet(values[start:stop], mean[start:stop])
            self.records += stop - start
            if due:
                self._update()
        return mean, deviation

    @property
    def latest(self) -> tuple[Array, Array]:
        """The mean and the deviation ``(C,)`` that the next record will be scaled by, not to be written to."""
        return self._mean, self._spread

    def z(self, values: Array) -> Array:
        """The scaled values ``(n, C)`` within ±`clip`, NaN where missing; then the records are taken in, as `scale`."""
        return scaled(values, *self.scale(values), self.clip)

    def _meet(self, values: Array, mean: Array) -> None:
        """The first value of a column is its mean from there on."""
        for column in self._unseen[:]:
            present = np.flatnonzero(~np.isnan(values[:, column]))
            if len(present):
                first = min(max(float(values[present[0], column]), -LARGEST), LARGEST)
                self._mean[column] = mean[present[0] :, column] = first
                self._unseen.remove(column)

    def _update(self) -> None:
        if afresh := self.records <= BLOCK:
            self._count, self._squares = np.zeros(self.columns), np.zeros(self.columns)
        values = self._pending[:, : self.records]
        mean, before = self._mean, self._count * self._fade
        reach = self.clip * self._spread
        low, high = np.maximum(mean - reach, -LARGEST), np.minimum(mean + reach, LARGEST)
        outside = values < low[:, None]
        outside |= values > high[:, None]
        centre = mean
        if afresh or np.count_nonzero(outside):
            own = self._is_wider(values, outside, before)
            if len(own):
                middle, bottom, top = reach_of(values[own], self.clip)
                old = before[own] > 0
                low[own] = np.where(old, np.minimum(low[own], bottom), bottom)
                high[own] = np.where(old, np.maximum(high[own], top), top)
                centre, mean = mean.copy(), mean.copy()
                centre[own] = middle
                mean[own] = np.where(old, mean[own], middle)
            values = np.minimum(np.maximum(values, low[:, None]), high[:, None])
        away = values - centre[:, None]
        total = np.add.reduce(away, 1)
        fresh: float | Array = float(values.shape[1])
        some: Array | None = None
        if np.isnan(np.add.reduce(total)):
            absent = np.isnan(away)
            some = ~np.logical_and.reduce(absent, 1)
            fresh = np.maximum(np.add.reduce(~absent, 1, np.float64), 1.0)
            total = np.add.reduce(np.where(absent, 0.0, away), 1)
        part = total / fresh
        away -= part[:, None]
        if some is not None:
            away[absent] = 0.0
        count = before + fresh
        share = fresh / count
        shift = part if centre is mean else centre - mean + part
        squares = np.add.reduce(np.multiply(away, away, away), 1)
        squares += self._squares * self._fade + shift * shift * (before * share)
        mean = mean + shift * share
        if some is not None:
            count = np.where(some, count, self._count)
            mean = np.where(some, mean, self._mean)
            squares = np.where(some, squares, self._squares)
        self._count, self._mean, self._squares = count, mean, squares
        self._measure()

    def _is_wider(self, values: Array, outside: Array, before: Array) -> Array:
        """The columns whose values outside are no outliers, or that have no deviation yet."""
        present = np.count_nonzero(~np.isnan(values), axis=1)
        beyond = np.count_nonzero(outside, axis=1)
        many = (beyond > 1) & (8 * beyond > present)
        return np.flatnonzero((before == 0) & (present > 0) | (beyond > 0) & (many | (self._spread == 0)))

    def _measure(self) -> None:
        self._spread = spread_of(self._squares / np.maximum(self._count, 1.0), self._mean)

    def dump(self) -> Part:
        """The statistics, and the records since the last multiple of 256."""
        arrays = {"count": self._count.copy(), "mean": self._mean.copy(), "squares": self._squares.copy()}
        arrays["pending"] = self._pending[:, : self.records % BLOCK].copy()
        about = {"half_life": self.half_life, "clip": self.clip, "records": self.records, "unseen": self._unseen[:]}
        return Part(arrays, about)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        settings = {"half_life": self.half_life, "clip": self.clip}
        arrays = fitting(part, settings, {"count", "mean", "squares", "pending"}, ("records", "unseen"))
        records = check_count("records", part.about["records"], 0)
        for name in ("count", "mean", "squares"):
            check_array(name, arrays[name], (self.columns,), FLOAT64)
        check_array("pending", arrays["pending"], (self.columns, records % BLOCK), FLOAT64)
        self.records, self._unseen = records, [int(column) for column in part.about["unseen"]]
        self._count, self._mean, self._squares = (arrays[name].copy() for name in ("count", "mean", "squares"))
        self._pending[:, : records % BLOCK] = arrays["pending"]
        self._measure()


def fitting(part: Part, settings: dict[str, Any], names: set[str], others: tuple[str, ...] = ()) -> dict[str, Array]:
    """The arrays of `part`. Raises ArgumentError where it has other names, or is of other settings."""
    if set(part.about) != {*settings, *others} or set(part.arrays) != names:
        raise ArgumentError("state", ", ".join(sorted(names)), ", ".join(sorted(part.arrays)))
    for name, mine in settings.items():
        if part.about[name] != mine:
            raise ArgumentError(name, str(mine), part.about[name])
    return part.arrays


def reach_of(values: Array, clip: float) -> tuple[Array, Array, Array]:
    """The median of each line of `values` ``(columns, m)``, each with a value at least, and the bounds around it."""
    values = np.clip(values, -LARGEST, LARGEST)
    line = np.arange(len(values))
    last = np.count_nonzero(~np.isnan(values), axis=1) - 1
    middle = np.sort(values, axis=1)[line, last // 2]  # NaN comes last
    away = np.sort(np.abs(values - middle[:, None]), axis=1)
    same = np.count_nonzero(away == 0, axis=1)
    reach = away[line, 7 * last // 8]
    reach = clip * np.where(reach > 0, reach, away[line, np.minimum(same + (last - same) // 2, last)])
    return middle, np.maximum(middle - reach, -LARGEST), np.minimum(middle + reach, LARGEST)
