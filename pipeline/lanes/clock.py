"""What the clock decides of records: which of them have waited for so long. Trio's clock, which nobody sets back."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator

import trio

from ...core.base.checks import check_number
from .chunks import Packed
from .record_lanes import RecordLanes

__all__ = ["Lag", "RecordClock"]

PARTS = 16  # of the time, which the records of one part share
HALF = 0.5  # of the linger: what has waited for as long goes with what has waited for all of it


class Lag:
    """Knows which records came at least `seconds` ago, to a sixteenth of that. None: no record ever did."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._came: deque[tuple[float, int]] = deque()  # up to that time so many records had come
        self._part = -math.inf  # when the last of these parts began
        self._last = self._before = 0

    def note(self, now: float, number: int) -> None:
        """Up to `now`, `number` records have come."""
        if self.seconds == math.inf or number == self._last:
            return
        if self._came and now - self._part < self.seconds / PARTS:
            self._came[-1] = (now, number)  # a little late for the first of them
        else:
            self._came.append((now, number))
            self._part = now
        self._last = number

    def deadline(self) -> float:
        """When the next records will have waited for so long; infinity where none are waiting."""
        return self._came[0][0] + self.seconds if self._came else math.inf

    def before(self, now: float, share: float = 1.0) -> int:
        """The number of the record before which all came that long ago, or a `share` of it."""
        while self._came and self._came[0][0] + share * self.seconds <= now:
            self._before = self._came.popleft()[1]
        return self._before

    def skip(self, number: int) -> None:
        """None of the records before this one is of interest."""
        while self._came and self._came[0][1] <= number:
            self._before = self._came.popleft()[1]


class RecordClock:
    """Decides when the chunks that wait are cut (`linger`), when keys go (`key_ttl`), and when labels are waited for
    no longer (`label_wait`), each in seconds or never. Raises ArgumentError.
    """

    def __init__(self, linger: float | None, key_ttl: float | None, label_wait: float | None) -> None:
        given = {"linger": linger, "key_ttl": key_ttl, "label_wait": label_wait}
        self._linger, self._ttl, self._label_wait = self._lags = [
            Lag(None if value is None else check_number(name, value, 0, open_low=True)) for name, value in given.items()
        ]

    @property
    def decides(self) -> bool:
        """Whether it decides anything."""
        return any(lag.seconds < math.inf for lag in self._lags)

    @property
    def lets_go(self) -> bool:
        """Whether it lets keys go."""
        return self._ttl.seconds < math.inf

    def deadline(self) -> float:
        """When there will be something to decide, if nothing comes before."""
        return min(lag.deadline() for lag in self._lags)

    def decide(self, lanes: RecordLanes) -> Iterator[Packed]:
        """What it brings about in `lanes` now; nothing where their log says what another run has decided."""
        if lanes.log.replays:
            return
        now = trio.current_time()
        self._label_wait.note(now, lanes.items)
        if now >= self._label_wait.deadline():
            yield from lanes.give_up(self._label_wait.before(now))
        self._linger.note(now, lanes.packer.number)  # with what has just been let go
        if now >= self._linger.deadline():
            if lanes.packer.oldest < self._linger.before(now):
                yield from lanes.cut(self._linger.before(now, HALF))
            self._linger.skip(lanes.packer.oldest)
        self._ttl.note(now, lanes.number)
        if now >= self._ttl.deadline():
            yield from lanes.expire(self._ttl.before(now))
