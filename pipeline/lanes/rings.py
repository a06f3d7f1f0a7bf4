"""A block of records in the order of their keys, and rings that keep the last values of each key."""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array

__all__ = ["KeyOrder", "Ring", "filled"]


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
        starts = np.flatnonzero(np.concatenate(([True], self.rows[1:] != self.rows[:-1])))
        self.ends = np.append(starts[1:], n)
        self.sizes = self.ends - starts
        self.start = np.repeat(starts, self.sizes)
        self.rank = places - self.start
        self.keys = self.rows[starts]
        self.pos = count[self.rows] + self.rank

    def __len__(self) -> int:
        return len(self.rows)

    def by_arrival(self, values: Array) -> Array:
        """`values` in the order of arrival."""
        found = np.empty_like(values)
        found[self.index] = values
        return found


class Ring:
    """The last `depth` values of each of `keys` keys, of `shape`. Rows that no key has used take no memory."""

    def __init__(self, keys: int, depth: int, shape: tuple[int, ...], dtype: str) -> None:
        self.depth = depth
        self.values = np.zeros((keys, depth, *shape), dtype)

    def before(self, order: KeyOrder, lag: int) -> tuple[Array, Array]:
        """For each record, what the one of its key `lag` before it has, where that is of an earlier block.

        Elsewhere there is anything. And the places of the records whose one is in this block: see `filled`.
        """
        found: Array = self.values[order.rows, (order.pos - lag) % self.depth]
        return found, np.flatnonzero(order.rank >= lag)

    def windows(self, order: KeyOrder, values: Array, last: Array, lag: int, length: int) -> Array:
        """For the sorted records `last` ``(n,)`` the `length` values up to `lag` before each: ``(n, length, …)``."""
        back = np.arange(length - 1, -1, -1) + lag
        found: Array = self.values[order.rows[last][:, None], (order.pos[last][:, None] - back) % self.depth]
        inside = order.rank[last][:, None] >= back
        if inside.any():
            found[inside] = values[(last[:, None] - back)[inside]]
        return found

    def push(self, order: KeyOrder, values: Array) -> None:
        """Keep the sorted `values` of this block, of each key the last ones."""
        if order.sizes.max() <= self.depth:
            self.values[order.rows, order.pos % self.depth] = values
        else:
            kept = order.rank >= np.repeat(order.sizes, order.sizes) - self.depth
            self.values[order.rows[kept], order.pos[kept] % self.depth] = values[kept]


def filled(found: Array, inside: Array, values: Array, lag: int) -> Array:
    """`found`, with what the records `lag` before those at `inside` have among the sorted `values` of their block."""
    if len(inside):
        found[inside] = values[inside - lag]
    return found
