"""What forecasts are a change from, and in which unit: a running score decides.

Of a number that wanders nothing says more than its last value. Where it comes back to its mean, a model would first
have to learn to take the last value away again. Where its changes are the larger the larger it is, they are measured by
it, or by its square root, which comes to the same as the logarithm or the root of the number.
Letters: n records, F targets ahead, R rows: one, or of each key one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count
from ..base.parameters import Array
from ..base.state import Part
from ..base.table import rows_of
from .standardise import FLOAT64, LARGEST, fitting
from .updates import pieces

__all__ = ["CHOSEN", "WIDE", "Centre"]

BLOCK, BLOCK_OF_KEYS = 4096, 1024  # records between two updates, and where each key has its own centres
CHOSEN = 4  # numbers that say what the centre of a target is, and its unit: pull, origin, level and power
WARM = 32  # truths, before which it is the last value
WEAK = 0.05  # a pull below is none
BETTER = 0.7  # of the last value's squared error, below which the regression takes its place
HALF_LIVES = 4096, 1024  # truths: of the regression, and of the errors
OUTLIER = 10.0  # deviations: a value farther from the mean counts as that far
POWERS = np.array([0.0, 0.5, 1.0])  # of the value, in units
GAIN = 0.15  # in likelihood, by which another power than 0 is to be better
WIDE = 16.0  # means: a larger value is in units as that, and one below the inverse as that
LARGE = 25.0  # mean squared errors: a larger one counts as that large


class Centre:
    """What the centres and units of forecasts are, of targets so many `horizons` ahead.

    The centre is the last value x, or the regression of the truth on it, ``level + (1 − pull) · (x − origin)``. Level
    and origin are the means of truths and of the values before them; the pull is what regression finds, less three of
    its standard errors and 5 over the number of truths, which are as many as have nothing in common. The regression is
    taken where the pull is 0.05 or more, and its mean squared error below 0.7 of that of the last value.

    The unit is 1; or, where the centre is the last value, that over the origin, without sign and from 1/16 to 16; or
    the root of this. Another than 1 is taken where the changes from value to truth, as of Laplace's distribution, are
    likelier by it, by 0.15 a truth in the logarithm.

    In the regression the past fades with a half-life of 4,096 truths, in the errors with one of 1,024. A single value
    counts as 10 deviations at most, and an error as 5 mean ones.

    `keys` is the number of keys each of which has centres of its own; where it is 0 there is one for all. They are
    updated at records 1, 2, 4, … 4,096, and then at every 4,096th, with `keys` up to and at each 1,024th of all.
    Raises ArgumentError.
    """

    def __init__(self, horizons: Sequence[int], keys: int = 0) -> None:
        self.keys = check_count("keys", keys, 0)
        self._horizons = np.array(horizons, np.int64)
        self.records, self._learns = 0, True
        self._block = BLOCK_OF_KEYS if keys else BLOCK
        shape = keys or 1, len(horizons)  # untouched rows of zeros take no memory
        self._first = np.zeros(shape)  # what values are counted from, in the
        self._sums = np.zeros((*shape, 6))  # of 1, x, y, x², x·y and y², y being the truth;
        # Of 1, the squared errors of the last value and of the regression, the logarithms of sizes, and of errors of
        # the last value over the powers of these.
        self._errors = np.zeros((*shape, 4 + len(POWERS)))
        self._fitted = np.zeros((*shape, CHOSEN))  # the regression,
        self._chosen = np.zeros((*shape, CHOSEN))  # and the same where it is taken, else zeros, which are no change
        self._pending = np.zeros((2, len(horizons), self._block))  # x and y of the last records, across,
        self._rows = np.zeros(self._block, np.int64)  # of the keys in these rows; −1 of one that is gone

    def follow(self, rows: Array, now: Array, before: Array, truths: Array) -> tuple[Array, Array, Array]:
        """The centre and the unit ``(n, F)`` of each record, and what was chosen; then they are taken in.

        `rows` ``(n,)`` are those of their keys, ``~row`` of one that begins. `now` ``(n, F)`` are the last values with
        each record, `before` those with the records of which it says the `truths`; NaN is missing. What was chosen is
        ``(n, F, 4)``, see `fix`, and with keys ``(n, 0, 4)``.
        """
        places = rows_of(rows) if self.keys else rows[:0]
        if self.keys and (rows < 0).any():
            self._forget(places[rows < 0])
        (centre, unit), targets = np.empty((2, *truths.shape)), 0 if self.keys else len(self._horizons)
        chosen = np.empty((len(rows), targets, CHOSEN))
        for start, stop, due in pieces(self.records, len(rows), self._block):
            part = slice(start, stop)
            chosen[part] = self._chosen[0, :targets]
            own = (self._chosen[places[part]] if self.keys else self._chosen).transpose(2, 0, 1)
            centre[part], unit[part] = now[part], 1.0
            if own.any():
                centre[part], unit[part] = _moved(now[part], own), _unit(now[part], own)
            if self._learns:
                at = slice(self.records % self._block, self.records % self._block + stop - start)
                self._pending[0, :, at], self._pending[1, :, at] = before[part].T, truths[part].T
                if self.keys:
                    self._rows[at] = places[part]
                self.records += stop - start
                if due:
                    self._update(due)
        return centre, unit, chosen

    def take(self, rows: Array) -> Centre:
        """One that learns no more, with the centres of these `rows`, in their order; −1 is a key that has none."""
        found = Centre(self._horizons.tolist(), 0 if not self.keys else max(1, len(rows)))
        found._learns = False
        if self.keys:
            found._chosen[: len(rows)][rows >= 0] = self._chosen[rows[rows >= 0]]
        else:
            found._chosen[:] = self._chosen
        return found

    def fix(self, chosen: Array) -> None:
        """Learn no more; `chosen` ``(F, 4)`` are pull, origin, level, and the power of units; all 0: the last value, 1.

        Raises ArgumentError where it does not fit.
        """
        check_array("centre", chosen, self._chosen.shape[1:], FLOAT64)
        if self.keys or not np.isfinite(chosen).all():
            raise ArgumentError("centre", "finite numbers, for all keys together", chosen.tolist())
        self._learns, self._chosen = False, chosen[None].copy()

    @np.errstate(invalid="ignore", divide="ignore", over="ignore")
    def _update(self, due: int) -> None:
        """Take in the records since the last update."""
        new = slice(due // 2 if due <= self._block else 0, min(due, self._block))
        block, rows, starts = self._pending[:, :, new], self._rows[new], np.zeros(1, np.int64)
        if self.keys:
            order = np.argsort(rows, kind="stable")
            order = order[rows[order] >= 0]
            if not len(order):
                return
            block, rows = block[:, :, order], rows[order]
            starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        at, sizes = rows[starts], np.diff(starts, append=len(rows))
        x, y = np.minimum(np.maximum(block, -LARGEST), LARGEST)
        known = ~np.isnan(x + y)

        def each(values: Array) -> Array:  # those of the rows (m, F), for each record, or (F, 1) where there is one row
            return np.repeat(values.T, sizes, axis=1) if len(at) > 1 else values.T

        errors, fitted = self._errors[at], [each(part) for part in self._fitted[at].transpose(2, 0, 1)]
        most = each(np.where(errors[:, :, 0] < WARM, np.inf, LARGE * errors[:, :, 1] / errors[:, :, 0]))
        last, own = (np.minimum(np.square(y - said), most) for said in (x, _moved(x, fitted)))
        size, error = _size(x, fitted[1]), np.sqrt(last)
        root = np.sqrt(size)
        told = [known, last, own, np.log(size), error, error / root, error / size]
        self._errors[at] = _faded(errors, told, known, starts, HALF_LIVES[1])

        sums = self._sums[at]
        count, mean, _, square = sums[:, :, :4].transpose(2, 0, 1)
        if not count.all():
            place = np.minimum.reduceat(np.where(known, np.arange(len(rows)), len(rows) - 1), starts, axis=1)
            begins = np.nan_to_num(np.take_along_axis(x, place, 1)).T
            self._first[at] = np.where(count == 0, begins, self._first[at])
        mean = mean / np.maximum(count, 1)
        spread = OUTLIER * np.sqrt(square / count - mean * mean)
        reach = np.where((count >= WARM) & (spread > 0), spread, np.inf)
        low, high, first = each(mean - reach), each(mean + reach), each(self._first[at])
        x, y = (np.minimum(np.maximum(value - first, low), high) for value in (x, y))
        self._sums[at] = _faded(sums, [known, x, y, x * x, x * y, y * y], known, starts, HALF_LIVES[0])
        self._choose(at)

    @np.errstate(invalid="ignore", divide="ignore", over="ignore")
    def _choose(self, at: Array) -> None:
        """Find the regressions of these rows, and where they are taken."""
        count, x, y, xx, xy, yy = self._sums[at].transpose(2, 0, 1)
        x, y = x / count, y / count
        xx, xy, yy = xx / count - x * x, xy / count - x * y, yy / count - y * y
        slope, alone = xy / xx, count / self._horizons  # truths that have nothing in common
        unsure = np.sqrt(np.maximum(yy - slope * xy, 0.0) / xx / np.maximum(alone - 2, 1))
        pull = np.maximum(1 - slope - 3 * unsure - 5 / alone, 0.0)
        found = np.stack((pull, self._first[at] + x, self._first[at] + y, np.zeros_like(x)), axis=2)
        found = np.where((np.isfinite(found).all(axis=2) & (xx > 0))[:, :, None], found, 0.0)
        told, last, own, size, *changes = self._errors[at].transpose(2, 0, 1)
        use = (told >= WARM) & (found[:, :, 0] >= WEAK) & (own < BETTER * last)
        self._fitted[at] = found
        worse = POWERS * (size / told)[:, :, None] + np.log(np.stack(changes, axis=2))  # a sum, less the likelihood
        power = POWERS[np.argmin(worse, axis=2)] * (worse.min(axis=2) < worse[:, :, 0] - GAIN) * (told >= WARM)
        origin = found[:, :, 1] * (power > 0)
        last = np.stack((np.zeros_like(x), origin, origin, power), axis=2)
        self._chosen[at] = np.where(use[:, :, None], found, last)

    def _forget(self, rows: Array) -> None:
        """The keys in these `rows` begin."""
        self._clear(rows)
        self._rows[np.isin(self._rows, rows)] = -1

    def _clear(self, rows: Array | slice) -> None:
        for table in (*self._tables().values(), self._fitted, self._chosen):
            table[rows] = 0.0

    def _tables(self) -> dict[str, Array]:
        return {"first": self._first, "sums": self._sums, "errors": self._errors}

    def dump(self) -> Part:
        """What is known of the rows of which anything is, and the records since the last update."""
        at, new = np.flatnonzero(self._sums.any(axis=(1, 2))), self.records % self._block
        arrays = {name: table[at] for name, table in self._tables().items()}
        arrays |= {"at": at, "pending": self._pending[:, :, :new].copy(), "rows": self._rows[:new].copy()}
        return Part(arrays, {"records": self.records})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        arrays = fitting(part, {}, {*self._tables(), "at", "pending", "rows"}, ("records",))
        records = check_count("records", part.about["records"], 0)
        at, rows, new = arrays["at"], arrays["rows"], records % self._block
        check_array("at", at, ("n",), np.dtype(np.int64))
        check_array("rows", rows, (new,), np.dtype(np.int64))
        check_array("pending", arrays["pending"], (*self._pending.shape[:2], new), FLOAT64)
        for name, table in self._tables().items():
            check_array(name, arrays[name], (len(at), *table.shape[1:]), FLOAT64)
        used = np.concatenate((at, rows[rows >= 0]))
        if len(used) and not 0 <= used.min() <= used.max() < len(self._first):
            raise ArgumentError("rows", f"rows below {len(self._first)}", used.max())
        self._clear(slice(None))
        self.records, self._pending[:, :, :new], self._rows[:new] = records, arrays["pending"], rows
        for name, table in self._tables().items():
            table[at] = arrays[name]
        self._choose(at)


def _moved(values: Array, chosen: Iterable[Array]) -> Array:
    """The centres for the last `values`, by what was `chosen`: of each its pull, origin, level and power."""
    pull, origin, level, _ = chosen
    found: Array = values + (level - origin) - pull * (values - origin)
    return found


def _unit(values: Array, chosen: Iterable[Array]) -> Array:
    """The units likewise."""
    _, origin, _, power = chosen
    found: Array = _size(values, origin) ** power
    return found


def _size(values: Array, origin: Array) -> Array:
    """How large the `values` are beside the `origin`, within limits; 1 where that is 0, or a value is missing."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        found = np.minimum(np.maximum(np.abs(values / origin), 1 / WIDE), WIDE)
    return np.where((origin == 0) | np.isnan(found), 1.0, found)


def _faded(sums: Array, told: Sequence[Array], known: Array, starts: Array, half_life: int) -> Array:
    """`sums` ``(m, F, S)``, of which each has faded, with what was `told`, S arrays ``(F, n)``, where `known`."""
    every = np.array(told)
    if not known.all():
        every[:, ~known] = 0.0
    total = np.add.reduceat(every, starts, axis=2).transpose(2, 1, 0)
    found: Array = sums * 2.0 ** (-total[:, :, :1] / half_life) + total
    return found
