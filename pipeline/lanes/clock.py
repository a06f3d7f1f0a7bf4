"""What the clock decides of records: which of them have waited for so long. Trio's clock, which nobody sets back."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Lag"]

PARTS = 16  # of the time, which the records of one part share


class Lag:
    """Knows which records came at least `seconds` ago, to a sixteenth of that. None: no record ever did."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._came: deque[tuple[float, int]] = deque()  # up to that time so many records had come
        self._last = (-math.inf, 0)  # that is not among them, as it is too near to the one before
        self._before = 0

    def note(self, now: float, number: int) -> None:
        """Up to `now`, `number` records have come."""
        if self.seconds == math.inf or number == self._last[1]:
            return
        if self._came and now - self._came[-1][0] < self.seconds / PARTS:
            self._came[-1] = (now, number)  # a little late for the first of them
        else:
            self._came.append((now, number))
        self._last = (now, number)

    def deadline(self) -> float:
        """When the next records will have waited for so long; infinity where none are waiting."""
        return self._came[0][0] + self.seconds if self._came else math.inf

    def before(self, now: float) -> int:
        """The number of the record before which all came that long ago."""
        while self._came and self._came[0][0] + self.seconds <= now:
            self._before = self._came.popleft()[1]
        return self._before
