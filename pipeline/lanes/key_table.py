"""The table of keys: which row each key has, and who goes when there is no room."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.table import rows_of

__all__ = ["FREE", "NEVER", "NOBODY", "KeyTable", "Located", "shard_of"]

SHARE = 16  # of a full table one part goes at once
NOBODY = np.zeros(0, np.int64)
FREE, NEVER = -1, -2  # in the place of the last record of the key in a row: it is free; no key ever was there


def shard_of(key: str, shards: int) -> int:
    """The shard of a key, the same in every process: by the CRC-32 of its UTF-8."""
    return zlib.crc32(key.encode()) % shards if shards > 1 else 0


class Located(NamedTuple):
    """The rows of records one behind the other, up to before the record `stop` of their block.

    ``rows`` has ``~row`` for the first record of a key; ``new`` are these keys. Before them the keys in ``going`` go.
    """

    stop: int
    rows: Array
    new: list[str]
    going: Array


class KeyTable:
    """The rows of up to `capacity` keys, of `shards` shards: a key of shard m has a row r with ``r % shards == m``.

    A new key gets the lowest row that is free. Where none is, the least recently used sixteenth of the rows of its
    shard goes first. What happens is a function of the order of the records.
    """

    def __init__(self, capacity: int, shards: int = 1) -> None:
        self.capacity, self.shards = check_count("max_keys", capacity), shards
        if capacity < shards:
            raise ArgumentError("max_keys", f"at least {shards}, a key for each shard", capacity)
        self.number = 0  # records so far
        self._used = np.full(capacity, NEVER)  # the last record of the key in each row
        self._rows: dict[str, int] = {}
        self._names: list[str | None] = []  # of the rows that were ever in use
        self._freed: list[list[int]] = [[] for _ in range(shards)]  # heaps
        self._next = list(range(shards))  # the lowest row of each shard that was never in use

    def __len__(self) -> int:
        return len(self._rows)

    def locate(self, keys: Sequence[str] | None, count: int) -> Iterator[Located]:
        """The rows of `keys`, those of the next `count` records; None where all are of one stream."""
        if keys is None:
            rows = np.zeros(count, np.int64)
            new = [] if self._rows else [self._add("", 0)]
            if new:
                rows[0] = ~0
            self.number += count
            self._used[0] = self.number - 1
            yield Located(count, rows, new, NOBODY)
            return
        start, going = 0, NOBODY
        while start < count:
            rows, new, full = self._find(keys if start == 0 else keys[start:])
            if len(rows):
                start += len(rows)
                yield Located(start, rows, new, going)
            if full >= 0:
                going = self._leaving(full)
                self.free(going)

    def _find(self, keys: Sequence[str]) -> tuple[Array, list[str], int]:
        """The rows of the first of `keys`, and the new ones; before another, which is new, its shard has no room.

        The shard is −1 where all have been found.
        """
        rows: list[Any] = list(map(self._rows.get, keys))
        new: list[str] = []
        if None in rows:
            for index, row in enumerate(rows):
                if row is None:
                    key = keys[index]
                    row = self._rows.get(key)  # it may be new in this very block
                    if row is None:
                        shard = shard_of(key, self.shards)
                        row = self._take(shard)
                        if row is None:
                            return self._touched(rows[:index]), new, shard
                        new.append(self._add(key, row))
                        row = ~row
                    rows[index] = row
        return self._touched(rows), new, -1

    def _add(self, key: str, row: int) -> str:
        self._rows[key] = row
        self._names += [None] * (row + 1 - len(self._names))
        self._names[row] = key
        return key

    def _touched(self, rows: list[int]) -> Array:
        found = np.array(rows, np.int64)
        self._used[rows_of(found)] = np.arange(self.number, self.number + len(found))  # of several, the last
        self.number += len(found)
        return found

    def _take(self, shard: int) -> int | None:
        if self._freed[shard]:
            return heappop(self._freed[shard])
        row = self._next[shard]
        if row >= self.capacity:
            return None
        self._next[shard] += self.shards
        return row

    def _leaving(self, shard: int) -> Array:
        """The rows that have to go where `shard` is full: those least recently used, the oldest first."""
        used = self._used[shard :: self.shards]
        count = max(1, len(used) // SHARE)
        oldest = np.argpartition(used, count - 1)[:count]
        found: Array = oldest[np.argsort(used[oldest])] * self.shards + shard
        return found

    def idle(self, before: int) -> Array:
        """The rows of the keys whose last record was before number `before`, the oldest first."""
        found = np.flatnonzero((self._used >= 0) & (self._used < before))
        return found[np.argsort(self._used[found])]

    def free(self, rows: Array) -> None:
        """Forget the keys in `rows`."""
        for row in rows.tolist():
            name = self._names[row]
            assert name is not None
            del self._rows[name]
            self._names[row] = None
            heappush(self._freed[row % self.shards], row)
        self._used[rows] = FREE

    def dump(self) -> dict[str, Any]:
        """The table as JSON, for `load`."""
        names = [name or "" for name in self._names]
        return {"names": names, "used": self._used[: len(names)].tolist(), "number": self.number}

    def load(self, names: Sequence[str], used: Sequence[int], number: int) -> None:
        """Take up the `names` of the keys by rows, the last record of each, or FREE or NEVER, and how many have come.

        Raises ArgumentError where they do not fit.
        """
        if len(names) != len(used) or len(names) > self.capacity:
            raise ArgumentError("keys", f"up to {self.capacity}, each with its last record", f"{len(names)}")
        self._used.fill(NEVER)
        self._used[: len(used)] = used
        taken = [row for row, last in enumerate(used) if last >= 0]
        self.number, self._rows = number, {names[row]: row for row in taken}
        if len(self._rows) < len(taken) or max(used, default=-1) >= number or min(used, default=0) < NEVER:
            raise ArgumentError("keys", f"different ones, last used before record {number}", "others")
        self._names = [name if last >= 0 else None for name, last in zip(names, used, strict=True)]
        for shard in range(self.shards):
            own = self._used[shard :: self.shards]
            never = np.flatnonzero(own == NEVER)
            self._next[shard] = shard + self.shards * (int(never[0]) if len(never) else len(own))
            self._freed[shard] = (np.flatnonzero(own == FREE) * self.shards + shard).tolist()  # sorted, so a heap
