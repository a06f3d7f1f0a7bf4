"""A block of records in the order of their keys, and rings that keep the last values of each key."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...core.base.copies import Copies
from ...core.base.parameters import Array
from ...core.base.state import Part

__all__ = ["KeyOrder", "Ring", "carried", "filled", "grown"]


class KeyOrder:
    """`n` records, of the keys in `rows` ``(n,)``, sorted by key, and of one key in the order of arrival.

    ``index`` ``(n,)`` are their places in the order of arrival, ``rows`` those of the table, ``rank`` how many of their
    key stand before them here, and ``pos`` how many have ever been. ``ends`` is, for each key, behind its last record.
    `count` ``(keys,)`` are the records of each key before these.
    """

    def __init__(self, rows: Array, count: Array) -> None:
        n = len(rows)
        places = np.arange(n)
        packed = np.sort(rows << 32 | places)  # unique, so that any sort keeps the order within a key
        self.index = packed & 0xFFFFFFFF
        self.rows = packed >> 32
        self._starts = starts = np.flatnonzero(np.concatenate(([True], self.rows[1:] != self.rows[:-1])))
        self.ends = np.append(starts[1:], n)
        self.sizes = self.ends - starts
        self.start = np.repeat(starts, self.sizes)
        self.rank = places - self.start
        self.keys = self.rows[starts]
        self.pos = count[self.rows] + self.rank

    def __len__(self) -> int:
        return len(self.rows)

    def heads(self, count: int) -> Array:
        """Of each key the first records, up to `count` of them."""
        return self._starts if count == 1 else np.flatnonzero(self.rank < count)

    def by_arrival(self, values: Array) -> Array:
        """`values` in the order of arrival."""
        found = np.empty_like(values)
        found[self.index] = values
        return found


class Window(NamedTuple):
    """Places in rings ``(n · length,)``; which of them are of `records` that are still in the block."""

    length: int
    places: Array
    inside: Array
    records: Array


class Places(NamedTuple):
    """Places in rings for the records of a block, or for those of them that are `kept`."""

    where: Array
    kept: Array | None


class Ring:
    """The last `depth` values of each of `keys` keys, of `shape`. Rows that no key has used take no memory."""

    def __init__(self, keys: int, depth: int, shape: tuple[int, ...], dtype: str) -> None:
        self.depth = depth
        self.values = np.zeros((keys, depth, *shape), dtype)
        self.copies = Copies(self.values)
        self._flat = self.values.reshape(keys * depth, *shape)  # the same memory

    def take(self, rows: Array) -> Ring:
        """A ring with what the keys in these `rows` have, one of its own for each; −1 is one that has nothing."""
        found = Ring(len(rows), self.depth, self.values.shape[2:], str(self.values.dtype))
        found.values[rows >= 0] = self.values[rows[rows >= 0]]
        return found

    def dump(self, rows: int) -> Array:
        """A copy of the values of the first keys."""
        return self.copies.first(rows)

    def load(self, part: Part, name: str, rows: int) -> None:
        """Take up what `dump` gave, which is the array `name` of `part`. Raises ArgumentError."""
        self.values[:rows] = part.array(name, (rows, *self.values.shape[1:]), self.values.dtype)

    def _places(self, rows: Array, pos: Array) -> Array:
        """Where the values of the records `pos` of the keys in `rows` are kept."""
        found: Array = rows * self.depth + pos % self.depth
        return found

    def before(self, order: KeyOrder, lag: int) -> tuple[Array, Array]:
        """For each record, what the one of its key `lag` before it has, where that is of an earlier block.

        Elsewhere there is anything. And the places of the records whose one is in this block: see `filled`.
        """
        found = self._flat.take(self._places(order.rows, order.pos - lag), 0)
        return found, np.flatnonzero(order.rank >= lag)

    def window(self, order: KeyOrder, last: Array, lag: int, length: int, lengths: Array) -> Window:
        """For the sorted records `last` ``(n,)`` where the `lengths` ``(n,)`` values up to `lag` before each are.

        Behind them, up to `length`, is the last one of them again.
        """
        back = (np.maximum(lengths[:, None] - np.arange(1, length + 1), 0) + lag).ravel()
        last = np.repeat(last, length)
        places = self._places(order.rows[last], order.pos[last] - back)
        inside = np.flatnonzero(order.rank[last] >= back)
        return Window(length, places, inside, (last - back)[inside])

    def read(self, window: Window, values: Array | float) -> Array:
        """What is there ``(n, length, …)``; the sorted `values` of this block have not been pushed yet."""
        found = self._flat.take(window.places, 0)
        found[window.inside] = values.take(window.records, 0) if isinstance(values, np.ndarray) else values
        return found.reshape(-1, window.length, *found.shape[1:])

    def places(self, order: KeyOrder) -> Places:
        """Where the values of this block are kept: of each key the last ones."""
        places = self._places(order.rows, order.pos)
        if order.sizes.max() <= self.depth:
            return Places(places, None)
        kept = np.flatnonzero(order.rank >= np.repeat(order.sizes, order.sizes) - self.depth)
        return Places(places[kept], kept)

    def keep(self, places: Places, values: Array | float) -> None:
        """Keep the sorted `values` of this block."""
        if places.kept is not None and isinstance(values, np.ndarray):
            values = values.take(places.kept, 0)
        self._flat[places.where] = values

    def push(self, order: KeyOrder, values: Array) -> None:
        """Both of these."""
        self.keep(self.places(order), values)


def filled(found: Array, inside: Array, values: Array, lag: int) -> Array:
    """`found`, with what the records `lag` before those at `inside` have among the sorted `values` of their block."""
    if len(inside):
        found[inside] = values[inside - lag]
    return found


def carried(order: KeyOrder, now: Array, before: Array) -> Array:
    """`now` ``(n, F)``, sorted; where it is NaN, the last number of the key, or `before` ``(n, F)`` where none is."""
    places = np.where(np.isnan(now), -1, np.arange(len(now))[:, None])
    np.maximum.accumulate(places, axis=0, out=places)
    found: Array = np.take_along_axis(now, np.maximum(places, 0), 0)
    return np.where(places >= order.start[:, None], found, before)


def grown(array: Array, size: int) -> Array:
    """`array`, or where it has fewer rows than `size`, a copy of at least twice as many as before, with zeros."""
    if size <= len(array):
        return array
    found = np.zeros((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    found[: len(array)] = array
    return found
