"""How far a run is: the reports of batches that were applied."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import trio

from ...core.optim.guard import Guard
from ..observe.reports import Report
from ..stages.update import Applied
from .wiring import Wiring

__all__ = ["Progress"]

SPEED_WINDOW = 32  # steps that tokens_per_second is measured over


class Progress:
    """Counts what a run has applied, from when it is made on; a report is due every so many batches, or seconds.

    `every` is a whole number of batches, or a float of seconds; so many `tokens` were trained on before.
    """

    def __init__(self, every: float = 1, tokens: int = 0) -> None:
        self._every, self._batches, self._due = every, 0, trio.current_time()
        self._reported = 0  # batches up to the last report
        self.last: Applied | None = None  # the batch that was counted last
        self._start = trio.current_time()
        self._finished = deque([(self._start, tokens)], maxlen=SPEED_WINDOW)

    def count(self, applied: Applied) -> bool:
        """Take in a batch that was `applied` just now; whether a report is due."""
        now = trio.current_time()
        self._finished.append((now, self._finished[-1][1] + applied.size))
        self._batches += 1
        self.last = applied
        if isinstance(self._every, int):
            return (applied.batch_number + 1) % self._every == 0
        if now < self._due:
            return False
        self._due = now + self._every
        return True

    @property
    def tokens(self) -> int:
        """How many time steps × lanes have been trained on."""
        return self._finished[-1][1]

    @property
    def is_behind(self) -> bool:
        """Whether the last batch has had no report."""
        return self._reported < self._batches

    def report(self, *now: Any) -> Report:  # noqa: ANN401 (those of `now`)
        """What there is to say now, which counts as a report."""
        self._reported = self._batches
        return self.now(*now)

    def now(
        self,
        executor: str,
        wiring: Wiring | None,
        records: Mapping[str, Any] | None = None,
        latency: Mapping[str, float] | None = None,
        guard: Guard | None = None,
    ) -> Report:
        """The report of the batch that was counted last."""
        (since, before), (now, total) = self._finished[0], self._finished[-1]
        # It may be long ago that the batch was applied, and stages have waited since.
        stages, channels = ((), ()) if wiring is None else wiring.reports(trio.current_time())
        assert self.last is not None
        number, version, loss, grad_norm, _ = self.last
        speed = (total - before) / max(now - since, 1e-9)
        counts = number + 1, version, number - version, loss, grad_norm, total, speed, now - self._start
        bad = (0, 0) if guard is None else (guard.skipped, guard.undone)
        return Report(*counts, executor, stages, channels, records, latency, *bad)
