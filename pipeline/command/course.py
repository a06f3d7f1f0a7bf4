"""How a run over records goes on, from one look to the next: its speed, who is silent, and what changed when."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["DRIFT", "LEAD", "Course", "Speed"]

OFTEN = 0.5  # seconds between two looks that count
KEPT = 6  # looks, which speeds are measured over
LONGEST = 1000  # of a curve
DRIFT, LEAD = "▲", "◆"  # the marks of a drift, and of another model that leads


class Speed(NamedTuple):
    """Records and batches a second, and the records of each source."""

    records: float
    steps: float
    sources: tuple[float, ...]


class _Look(NamedTuple):
    at: float
    records: int
    steps: int
    received: tuple[int, ...]


class Course:
    """What reports have said, by a clock of seconds.

    ``skills`` has the skill of the last labels at each look from the first on that has one, and a mark of what was new
    then, or "".
    """

    def __init__(self) -> None:
        self._looks: deque[_Look] = deque(maxlen=KEPT)
        self.skills: deque[tuple[float, str]] = deque(maxlen=LONGEST)
        self._heard: list[float] = []  # when a source has last brought something
        self._stepped = 0.0
        self._drifts, self._leader, self._mark = 0, "", ""

    def look(self, now: float, records: Mapping[str, Any], steps: int) -> None:
        """A report says this `now`, after so many `steps`."""
        if self._looks and now < self._looks[-1].at + OFTEN:
            return
        received = tuple(source.get("received", 0) for source in records.get("sources", ()))
        before = self._looks[-1] if self._looks else _Look(now, 0, steps, (-1,) * len(received))
        if len(before.received) == len(received) == len(self._heard):
            pairs = zip(self._heard, before.received, received, strict=True)
            self._heard = [now if new != old else heard for heard, old, new in pairs]
        else:
            self._heard = [now] * len(received)
        self._stepped = now if steps != before.steps or not self._looks else self._stepped
        self._looks.append(_Look(now, records["records"], steps, received))
        self._note(records)

    def _note(self, records: Mapping[str, Any]) -> None:
        drifts, leader = records.get("drift", {}).get("count", 0), records.get("leader", "")
        if drifts > self._drifts:
            self._mark = DRIFT
        if leader != self._leader and self._leader:
            self._mark = LEAD
        self._drifts, self._leader = drifts, leader
        skill = records.get("metrics", {}).get("window", {}).get("skill")
        if skill is not None:
            self.skills.append((skill, self._mark))
            self._mark = ""

    @property
    def speed(self) -> Speed | None:
        """Over the last looks; None before there are two."""
        if len(self._looks) < 2 or len(self._looks[0].received) != len(self._looks[-1].received):
            return None
        first, last = self._looks[0], self._looks[-1]
        took = last.at - first.at
        sources = zip(first.received, last.received, strict=True)
        each = tuple((new - old) / took for old, new in sources)
        return Speed((last.records - first.records) / took, (last.steps - first.steps) / took, each)

    def silent(self, now: float) -> list[float]:
        """For how many seconds each source has brought nothing."""
        return [now - heard for heard in self._heard]

    def idle(self, now: float) -> float:
        """For how many seconds there has been no batch."""
        return now - self._stepped if self._looks else 0.0
