"""Bounds of forecasts that hold what was asked for, whatever the model says: quantile tracking.

A model says a lower and an upper bound. The distance of each from the forecast is multiplied by a factor that follows
the truths: after each miss it grows a little, and after each hit it shrinks by so much less that both are in balance
where the share of misses is that which was asked for. That needs nothing of the model, nor of the data, which may
change.
Letters: n records, m truths, F targets.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_count, check_number
from ..base.parameters import Array
from ..base.state import Part
from ..base.table import rows_of

__all__ = ["WARM", "Bounds", "Judged", "Stretch"]

WARM = 32  # truths, before which there are no bounds
RATE = 0.1  # what misses add to the logarithm of a factor, for each truth that is one
FADE = 0.99  # of the mean error, from one update to the next
FLOOR = 0.1  # mean errors, and no less, are the distance of a bound before its factor
THRESHOLD = 2.0  # for alarms, at first
MOST = 1024  # truths between two updates
FAR, LARGE = 1e6, 10.0  # the largest anomaly, and the largest error that counts, in scales
WIDEST = 1e20  # the largest factor
FARTHEST = float(np.finfo(np.float64).max)  # a bound that were infinite is this


class Stretch(NamedTuple):
    """Records from ``start`` to before ``stop``, and behind them the truths from ``first`` to before ``last``."""

    start: int
    stop: int
    first: int
    last: int


class Judged(NamedTuple):
    """Of m truths, all ``(m, F)``: how far outside each was, 0 where it was not; and whether that is an alarm."""

    anomaly: Array
    alarm: Array


class Bounds:
    """The factors of the bounds of `targets` F numbers, for a share `interval` of truths within; `keys`: of each key.

    A bound is as far from its forecast as the model says, and at least a tenth of the mean error, times a factor. The
    logarithm of that is moved, at each update, by ``(misses / truths − (1 − interval) / 2) / 10``. There is an update
    with each truth; where there are many keys there is one for several truths at once, half as many as there are keys,
    and 1,024 at most. The mean error, in units of the scale of its forecast, fades by 1 % an update. Before 32
    truths there are no bounds.

    The *anomaly* of a truth outside is its distance from the forecast over that of the bound: it is above 1. With
    `alarm`, a share of that many truths is to be below a threshold, which is tracked in the same way; what is above it
    is an alarm, after so many truths that one would be.

    Source: Angelopoulos, Candès, Tibshirani (2023), Conformal PID control, for the tracking of quantiles; Gibbs, Candès
    (2021), Adaptive conformal inference, whose bounds can be infinite. Raises ArgumentError.
    """

    def __init__(self, interval: float, targets: int, keys: int = 0, *, alarm: float | None = None) -> None:
        self.interval = _share("interval", interval)
        self.alarm = None if alarm is None else _share("alarm", alarm)
        if self.alarm is not None and self.alarm <= self.interval:
            raise ArgumentError("alarm", f"a share above the interval, {self.interval}", self.alarm)
        miss = (1 - self.interval) / 2
        self._asked = np.array([miss, miss, 1 - (self.alarm or 0.999)])[:, None]  # of misses below, above; of alarms
        self.keys, self._targets = check_count("keys", keys, 0), check_count("targets", targets)
        rows = self.keys + 1  # the last one is of all keys together
        self._factor, self._size = np.ones((rows, 3, targets)), np.ones((rows, targets))  # and mean errors
        self._factor[:, 2] = THRESHOLD
        self._least = np.array([1 / WIDEST, 1 / WIDEST, 1.0])[:, None]
        self._count, self._misses = np.zeros((rows, targets)), np.zeros((rows, 3, targets))  # since the last update,
        self._sizes, self._touched = np.zeros((rows, targets)), list[Array]()  # as these, and the rows with any
        self._known = self._pending = np.zeros(targets, np.int64)  # truths of each target, up to there and since
        self._seen = self._events = 0  # keys, and truths, that there have been,
        self._due = 1  # and after how many of these an update is due

    def stretches(self, at: Array, fresh: Array) -> Iterator[Stretch]:
        """How records and truths are to be taken: up to each update.

        Each truth comes before the record ``at`` ``(m,)`` of n; `fresh` ``(n,)`` says which are the first of a key. For
        each stretch call `set` for its records, and then `judge` for its truths.
        """
        start, first, n, m = 0, 0, len(fresh), len(at)
        while first < m or start < n:
            end = first + self._due - self._events
            last = min(m, end)
            stop = int(at[last - 1]) if last == end else n
            yield Stretch(start, stop, first, last)
            self._events += last - first
            self._seen += int(np.count_nonzero(fresh[start:stop]))
            if last == end:
                self._update()
                self._due = self._events + min(MOST, max(1, self._seen // 2))
            start, first = stop, last

    def set(self, rows: Array, forecasts: Array, said: Array, scale: Array) -> Array:
        """The lower and the upper bounds ``(n, 2, F)``; NaN where there are none yet.

        `rows` ``(n,)`` are those of the keys, ``~row`` of one that begins; `forecasts` and `scale` are ``(n, F)``, and
        what the model `said` of the bounds ``(n, 2, F)``. No bound is on the wrong side of its forecast.
        """
        places = rows_of(rows) if self.keys else np.zeros(1, np.int64)
        if self.keys:
            anew = ~rows[rows < 0]
            self._factor[anew], self._size[anew] = self._factor[-1], self._size[-1]
        factor, least = self._factor[places, :2], FLOOR * self._size[places] * scale
        found = np.empty(said.shape)
        with np.errstate(invalid="ignore", over="ignore"):
            found[:, 0] = forecasts - np.maximum(forecasts - said[:, 0], least) * factor[:, 0]
            found[:, 1] = forecasts + np.maximum(said[:, 1] - forecasts, least) * factor[:, 1]
        found[:, :, self._known < WARM] = np.nan
        return np.clip(found, -FARTHEST, FARTHEST, out=found)

    def judge(self, rows: Array, said: Array, truths: Array) -> Judged:
        """Compare `truths` ``(m, F)`` with what was `said` of them, and take that in.

        `said` ``(m, F, 4)`` are forecasts, bounds and scales; `rows` ``(m,)`` those of the keys.
        """
        forecasts, low, high, scale = (said[:, :, part] for part in range(4))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            size = np.minimum(np.abs(truths - forecasts) / scale, LARGE)
        known = size >= 0  # where nothing is missing, and there is a scale
        known &= scale > 0
        some = known & (low == low)
        below, above = (truths < low) & some, (truths > high) & some
        anomaly, alarms = np.zeros(truths.shape), np.zeros(truths.shape, bool)
        outside = below | above
        if outside.any():
            error, miss = truths[outside] - forecasts[outside], np.where(below, low, high)[outside]
            with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                anomaly[outside] = np.minimum(np.abs(error / (miss - forecasts[outside])), FAR)
            alarms = anomaly > (self._factor[rows, 2] if self.keys else self._factor[-1, 2])
        told = np.array((some, below, above, alarms, known))
        counts = np.add.reduce(told, axis=1, dtype=np.int64)
        size = np.where(some, size, 0.0)
        if self.keys:
            self._take_each(rows, told, size)
        self._count[-1] += counts[0]
        self._misses[-1] += counts[1:4]
        self._sizes[-1] = np.add.accumulate(np.concatenate((self._sizes[-1:], size)), axis=0)[-1]
        self._pending = self._pending + counts[4]
        sure = self._known * (1 - (self.alarm or 0.0)) >= 1
        return Judged(anomaly, alarms & sure & (self.alarm is not None))

    def _take_each(self, rows: Array, told: Array, size: Array) -> None:
        """Add up, in order, for each key what was `told` ``(5, m, F)``, and the sizes of the errors."""
        width = self._targets
        places = (rows[:, None] * width + np.arange(width)).ravel()
        for table, values in ((self._count, told[0]), (self._sizes, size)):
            np.add.at(table.reshape(-1), places, values.ravel().astype(np.float64))
        places = (rows[:, None] * 3 * width + np.arange(3 * width)).ravel()
        np.add.at(self._misses.reshape(-1), places, told[1:4].transpose(1, 0, 2).ravel().astype(np.float64))
        self._touched.append(rows)

    def _update(self) -> None:
        """Move the factors by what has been added up."""
        at: Array | slice = slice(self.keys, None)
        if self.keys:
            at = np.append(np.unique(np.concatenate(self._touched)), self.keys)
        count, sizes, misses = self._count[at], self._sizes[at], self._misses[at]
        some, many = count > 0, np.maximum(count, 1.0)
        size = self._size[at]
        self._size[at] = size + some * (1 - FADE) * (sizes / many - size)
        factor = self._factor[at] * np.exp(RATE * some[:, None] * (misses / many[:, None] - self._asked))
        self._factor[at] = np.minimum(np.maximum(factor, self._least), WIDEST)
        self._known = self._known + self._pending
        self._pending = np.zeros_like(self._known)
        self._clear(at)
        self._touched = []

    def _clear(self, rows: Array | slice) -> None:
        self._count[rows], self._sizes[rows], self._misses[rows] = 0.0, 0.0, 0.0

    def forget(self, rows: Array) -> None:
        """The keys in these rows have gone."""
        if self.keys:
            self._clear(rows)

    def _tables(self) -> dict[str, Array]:
        tables = {"factor": self._factor, "size": self._size}
        return tables | {"count": self._count, "sizes": self._sizes, "misses": self._misses}

    def dump(self, rows: int) -> Part:
        """The factors of the first `rows` of the table, and of all together."""
        places = [*range(min(rows, self.keys)), self.keys]
        arrays = {name: table[places] for name, table in self._tables().items()}
        arrays |= {"known": self._known.copy(), "pending": self._pending.copy()}
        return Part(arrays, {"seen": self._seen, "events": self._events, "due": self._due})

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError where it does not fit."""
        places = np.array([*range(min(rows, self.keys)), self.keys])
        for name, table in self._tables().items():
            table[places] = part.array(name, (len(places), *table.shape[1:]), table.dtype)
        known = [part.array(name, (self._targets,), np.dtype(np.int64)).copy() for name in ("known", "pending")]
        self._known, self._pending = known
        self._seen, self._events, self._due = [
            check_count(name, part.about.get(name), 0) for name in ("seen", "events", "due")
        ]
        self._touched = [places[self._count[places].any(axis=1)]]


def _share(name: str, value: float) -> float:
    value = check_number(name, value, 0, 1, open_low=True)
    if value == 1:
        raise ArgumentError(name, "a number above 0 and below 1", value)
    return value
