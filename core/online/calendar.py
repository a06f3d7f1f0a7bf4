"""The calendar: the time of day and of the week as inputs, as far as the time of day says something.

Where what is to be forecast has no daily course, the calendar is noise, and a model of few records would learn it. So
it comes with a weight from 0 to 1, which is learned as the records come. Letters: n records, F targets.
"""

from __future__ import annotations

import numpy as np

from ..base.checks import check_array, check_count
from ..base.parameters import Array
from ..base.state import Part
from .standardise import FLOAT64, fitting
from .updates import BLOCK, pieces

__all__ = ["COLUMNS", "DAILY", "DAY", "MONDAY", "WEEK", "Calendar", "calendar"]

DAY, WEEK = 86_400.0, 604_800.0  # seconds
MONDAY = 4 * DAY  # 1970 began on a Thursday
HARMONICS = 6  # of the day
DAILY = 2 * HARMONICS
COLUMNS = DAILY + 2
SURE = 2.0  # how many times what noise explains the day is to explain before it has any weight
LEAST = 1e-9  # a variance below is none
FADE = 2.0 ** (-BLOCK / 4096)  # as of the scales


def calendar(times: Array) -> Array:
    """The columns ``(n, 14)`` of `times` ``(n,)``, in seconds since 1970.

    Sine and cosine of the time of day, and of its 2nd to 6th multiples, of which any daily course of a few bends can be
    put together; and of the time of the week.
    """
    found = np.empty((len(times), COLUMNS))
    day, week = times % DAY * (2 * np.pi / DAY), (times - MONDAY) % WEEK * (2 * np.pi / WEEK)
    sine, cosine = found[:, 0], found[:, 1]
    np.sin(day, sine)
    np.cos(day, cosine)
    for k in range(2, DAILY, 2):  # of the sum of two angles
        before = found[:, k - 2], found[:, k - 1]
        found[:, k] = before[0] * cosine + before[1] * sine
        found[:, k + 1] = before[1] * cosine - before[0] * sine
    np.sin(week, found[:, DAILY])
    np.cos(week, found[:, DAILY + 1])
    return found


class Calendar:
    """How much weight the calendar has for targets of these `horizons`, in records; always 1 where there are none.

    For each target it is ``1 − 2·e / R²``, at least 0: R² is the sum of the squared correlations of the target with the
    columns of the day, and ``e`` what that would be on average if the two had nothing to do with each other: 12 over
    the number of records, times the horizon, as targets that overlap say the same again. The weight is that of the
    target for which it is largest. It is updated when the scales are, see `recurrio.core.online.standardise`, and the
    past fades as theirs does.
    """

    def __init__(self, horizons: list[int]) -> None:
        F = len(horizons)
        self._noise = DAILY * np.maximum(horizons, 1).astype(np.float64)
        self.records = 0
        self._pending = np.zeros((DAILY + F, BLOCK))  # the columns and targets of this block, across
        self._day = np.zeros((3, F, DAILY))  # sums of the columns, their squares, and their products with the target
        self._target = np.zeros((3, F))  # how many there are, and the sums of them, and of their squares
        self.latest = 0.0 if F else 1.0

    def weigh(self, columns: Array, targets: Array) -> Array:
        """The weight ``(n,)`` for each of these records; then they are taken in.

        `columns` ``(n, 14)`` are those of `calendar`; `targets` ``(n, F)`` float64 are what became known with each
        record, scaled, or NaN. Raises ArgumentError for other arrays.
        """
        check_array("columns", columns, ("n", COLUMNS), FLOAT64)
        check_array("targets", targets, (len(columns), len(self._noise)), FLOAT64)
        weight = np.empty(len(columns))
        for start, stop, due in pieces(self.records, len(columns)):
            at = self.records % BLOCK
            weight[start:stop] = self.latest
            self._pending[:DAILY, at : at + stop - start] = columns[start:stop, :DAILY].T
            self._pending[DAILY:, at : at + stop - start] = targets[start:stop].T
            self.records += stop - start
            if due:
                self._update(due)
        return weight

    def _update(self, due: int) -> None:
        """Take in the records since the last update."""
        if not len(self._noise):
            return
        new = slice(due // 2 if due <= BLOCK else 0, min(due, BLOCK))
        columns, targets = self._pending[None, :DAILY, new], self._pending[DAILY:, None, new]
        known = ~np.isnan(targets)
        targets = np.where(known, targets, 0.0)
        fade = 1.0 if due <= BLOCK else FADE
        day = [np.add.reduce(part, 2) for part in (known * columns, known * (columns * columns), targets * columns)]
        target = [np.add.reduce(part[:, 0], 1, np.float64) for part in (known, targets, targets * targets)]
        self._day, self._target = self._day * fade + day, self._target * fade + target
        self._weigh()

    def _weigh(self) -> None:
        count, total, squares = self._target[:, :, None]
        some = np.maximum(count, 1.0)
        column, square, product = self._day
        among, of_target = square - column * column / some, squares - total * total / some
        varies = (among > LEAST * some) & (of_target > LEAST * some)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(varies, (product - column * total / some) ** 2 / (among * of_target), 0.0)
            weight = 1.0 - SURE * self._noise / some[:, 0] / np.add.reduce(share, 1)
        self.latest = float(np.max(weight, initial=0.0))

    def dump(self) -> Part:
        """The sums, and the records since the last update."""
        pending = self._pending[:, : self.records % BLOCK].copy()
        return Part(
            {"day": self._day.copy(), "target": self._target.copy(), "pending": pending}, {"records": self.records}
        )

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        F, arrays = len(self._noise), fitting(part, {}, {"day", "target", "pending"}, ("records",))
        records = check_count("records", part.about["records"], 0)
        check_array("day", arrays["day"], (3, F, DAILY), FLOAT64)
        check_array("target", arrays["target"], (3, F), FLOAT64)
        check_array("pending", arrays["pending"], (DAILY + F, records % BLOCK), FLOAT64)
        self.records = records
        self._day, self._target = arrays["day"].copy(), arrays["target"].copy()
        self._pending[:, : records % BLOCK] = arrays["pending"]
        if F:
            self._weigh()
