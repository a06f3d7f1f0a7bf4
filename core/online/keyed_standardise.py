"""Scales of the numbers of each key by itself, see `recurrio.core.online.standardise`."""

from __future__ import annotations

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count, check_number
from ..base.parameters import Array
from ..base.state import Part
from .standardise import FLOAT64, LARGEST, MOST_CLIP, fitting, reach_of, scaled, spread_of

__all__ = ["KeyedStandardiser"]

FIRST = 4  # values of a key that are kept
RUN = 32  # values of a key outside one after the other: then they are no outliers


class KeyedStandardiser:
    """As `Standardiser`, of each key by itself: the keys are the rows of a table, below `capacity`.

    A value is scaled by the statistics of those before it of that key, as updated at the key's values 1, 2, 4 and then
    at each; the first value is the mean of its own record, with the deviation 0. The updates up to 4 begin afresh with
    all values so far, each within the reach of their own, as in `Standardiser`. From there on the n-th value is taken
    in with the weight ``max(2/(n + 1), 1 − 2^(−1/half_life))``: the first ones soon count for little, and later the
    past fades with a half-life of `half_life` values of the key.

    A value outside mean ± ``clip·(1 + 16/n)`` deviations, n values being known, enters as that bound, unless there is
    no deviation yet or the 32 values before it were outside too.

    Raises ArgumentError where `columns` is below 0, `capacity` or `half_life` below 1, or `clip` not above 0 and up to
    1e6.
    """

    def __init__(self, columns: int, capacity: int, *, half_life: int = 4096, clip: float = 5.0) -> None:
        self.columns, self.capacity = check_count("columns", columns, 0), check_count("capacity", capacity)
        self.half_life = check_count("half_life", half_life)
        self.clip = check_number("clip", clip, 0, MOST_CLIP, open_low=True)
        self._least = 1.0 - 2.0 ** (-1 / self.half_life)
        self._clear()

    def _clear(self) -> None:
        shape = self.capacity, self.columns  # untouched rows of zeros take no memory
        self._count, self._outside = np.zeros(shape, np.int64), np.zeros(shape, np.int64)  # values, and outside at last
        self._mean, self._variance = np.zeros(shape), np.zeros(shape)
        self._first = np.zeros((*shape, FIRST))

    def scale(self, values: Array, rows: Array) -> tuple[Array, Array]:
        """The mean and the deviation ``(n, C)`` to scale each of these records by; then they are taken in.

        `values` ``(n, C)`` float64 are finite, or NaN where missing. `rows` ``(n,)`` int64 are those of the keys; ~row
        says that the key begins anew at this record, with nothing known. Raises ArgumentError, and changes nothing,
        for other arrays or rows.
        """
        check_array("values", values, ("n", self.columns), FLOAT64)
        check_array("rows", rows, (len(values),), np.dtype(np.int64))
        anew, places = rows < 0, np.where(rows < 0, ~rows, rows)
        if len(places) and places.max() >= self.capacity:
            raise ArgumentError("rows", f"rows below {self.capacity}", places.max())
        mean, deviation = np.empty(values.shape), np.empty(values.shape)
        for record in _rounds(places):
            self._take(record, places[record], anew[record], values[record], mean, deviation)
        return mean, deviation

    def take(self, rows: Array) -> KeyedStandardiser:
        """One with what is known of these `rows`, in their order; −1 is a key of which nothing is."""
        found = KeyedStandardiser(self.columns, max(1, len(rows)), half_life=self.half_life, clip=self.clip)
        for mine, other in zip(found._tables().values(), self._tables().values(), strict=True):
            mine[: len(rows)][rows >= 0] = other[rows[rows >= 0]]
        return found

    def z(self, values: Array, rows: Array) -> Array:
        """The scaled values ``(n, C)`` within ±`clip`, NaN where missing; then the records are taken in, as `scale`."""
        return scaled(values, *self.scale(values, rows), self.clip)

    def _take(self, record: Array, row: Array, anew: Array, values: Array, means: Array, deviations: Array) -> None:
        """Scale records of distinct rows, and take them in."""
        if anew.any():
            for table in self._tables().values():
                table[row[anew]] = 0
        count, outside = self._count.take(row, 0), self._outside.take(row, 0)
        mean, variance = self._mean.take(row, 0), self._variance.take(row, 0)
        present = ~np.isnan(values)
        values = np.minimum(np.maximum(values, -LARGEST), LARGEST)
        young = present & (count < FIRST)
        some_young = young.any()
        if some_young:
            mean = np.where(young & (count == 0), values, mean)
        spread = spread_of(variance, mean)
        means[record] = mean
        deviations[record] = spread
        away = values - mean
        bound = self.clip * (1.0 + 16.0 / np.maximum(count, 1)) * spread
        beyond = (np.abs(away) > bound) & (spread > 0)
        held = beyond & (outside < RUN)
        away = np.where(held, np.copysign(bound, away), away)
        weight = np.maximum(2.0 / (count + 2.0), self._least)
        step = weight * away
        mean = np.where(present, mean + step, mean)
        variance = np.where(present, (1.0 - weight) * (variance + step * away), variance)
        outside = np.where(present, (outside + 1) * beyond, outside)
        if some_young:
            outside[young] = 0
            mean[young], variance[young] = self._begin(row, young, count[young], values[young])
        self._count[row], self._outside[row] = count + present, outside
        self._mean[row], self._variance[row] = mean, variance

    def _begin(self, row: Array, young: Array, count: Array, values: Array) -> tuple[Array, Array]:
        """The mean and the variance of the first values of a key, up to the last of them that is at 1, 2 or 4."""
        line, column = np.nonzero(young)
        line = row[line]
        self._first[line, column, count] = values
        until = np.array([1, 2, 2, 4])[count]
        first = np.where(np.arange(FIRST) < until[:, None], self._first[line, column], np.nan)
        middle, low, high = reach_of(first, self.clip)
        away = np.minimum(np.maximum(first, low[:, None]), high[:, None]) - middle[:, None]
        away[np.isnan(away)] = 0.0
        part = np.add.reduce(away, 1) / until
        return middle + part, np.maximum(np.add.reduce(away * away, 1) / until - part * part, 0.0)

    def dump(self) -> Part:
        """The statistics of the rows that have any."""
        rows = np.flatnonzero(self._count.any(axis=1))
        arrays = {name: table[rows] for name, table in self._tables().items()}
        return Part({"rows": rows} | arrays, {"half_life": self.half_life, "clip": self.clip})

    def _tables(self) -> dict[str, Array]:
        tables = {"count": self._count, "outside": self._outside, "mean": self._mean, "variance": self._variance}
        return tables | {"first": self._first}

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        arrays = fitting(part, {"half_life": self.half_life, "clip": self.clip}, {"rows", *self._tables()})
        rows = arrays["rows"]
        check_array("rows", rows, ("n",), np.dtype(np.int64))
        for name, table in self._tables().items():
            check_array(name, arrays[name], (len(rows), *table.shape[1:]), table.dtype)
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.capacity:
            raise ArgumentError("rows", f"rows below {self.capacity}", rows.max())
        self._clear()
        for name, table in self._tables().items():
            table[rows] = arrays[name]


def _rounds(places: Array) -> list[Array]:
    """The records of these rows in rounds: the first of each row, then the second of each that has one, and so on."""
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(order) else order
    if len(begins) == len(order):
        return [order] if len(order) else []
    lengths = np.diff(begins, append=len(order))
    nth = np.arange(len(order)) - np.repeat(begins, lengths)
    by_round = order[np.argsort(nth, kind="stable")]
    return np.split(by_round, np.cumsum(np.bincount(nth))[:-1])
