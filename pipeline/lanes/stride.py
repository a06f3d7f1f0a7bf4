"""The stride: every how many records of a key a chunk of it is closed.

It is at least T // 16, and 1, and at most T. The fewer keys there are, the more often each of them is learned from:
with K of them it is T·K // B. The more records there have been, the less each is worth: of n it is n // 65,536 at
least. It never becomes less again.
"""

from __future__ import annotations

from bisect import bisect_right

from ...core.base.checks import check_count
from ...core.base.parameters import Array

__all__ = ["Stride"]

LONG = 1 << 16  # records, with each as many of which the stride is longer by one
FEW = 16  # how many times as long as the stride a chunk is at most


class Stride:
    """See above, for chunks of `steps` T and batches of `lanes` B; or all the time as `given`.

    ``now`` is the last one.
    """

    def __init__(self, steps: int, lanes: int, given: int | None = None) -> None:
        self._steps, self._lanes, self._fixed = steps, lanes, given is not None
        self.now = max(1, steps // FEW) if given is None else min(given, steps)

    def at(self, keys: int, number: int) -> int:
        """That with the record of this number, where there are so many `keys`."""
        if self._fixed:
            return self.now
        return min(self._steps, max(self.now, self._steps * keys // self._lanes, number // LONG))

    def steady(self, keys: Array, number: int) -> int:
        """How many records from this number on have the same; `keys` ``(n,)`` are how many there are with each."""
        count = len(keys)
        if self._fixed or self.now == self._steps or not count:
            return count
        first = self.at(int(keys[0]), number)
        if self.at(int(keys[-1]), number + count - 1) == first:
            return count
        return bisect_right(range(count), first, key=lambda index: self.at(int(keys[index]), number + index))

    def records_of(self, batches: int, keys: int) -> int:
        """About how many records make so many batches, where there are so many `keys`."""
        return batches * self.now * min(self._lanes, keys)

    def load(self, now: int) -> None:
        """It was this. Raises ArgumentError where that cannot be."""
        self.now = check_count("stride", now, 1, self._steps)
