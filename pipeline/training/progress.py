"""How far a run is: the report of each batch that was applied."""

from __future__ import annotations

from collections import deque

import trio

from ..observe.reports import Report
from ..stages.update import Applied
from .wiring import Wiring

__all__ = ["Progress"]

SPEED_WINDOW = 32  # steps that tokens_per_second is measured over


class Progress:
    """Counts what a run has applied, from when it is made on."""

    def __init__(self) -> None:
        self._start = trio.current_time()
        self._finished = deque([(self._start, 0)], maxlen=SPEED_WINDOW)

    def report(self, applied: Applied, executor: str, wiring: Wiring) -> Report:
        """The report of a batch that was `applied` just now."""
        now, (since, before) = trio.current_time(), self._finished[0]
        total = self._finished[-1][1] + applied.size
        self._finished.append((now, total))
        stages, channels = wiring.reports(now)
        number, version, loss, grad_norm, _ = applied
        speed = (total - before) / max(now - since, 1e-9)
        counts = number + 1, version, number - version, loss, grad_norm, total, speed, now - self._start
        return Report(*counts, executor, stages, channels)
