"""Where a run is computed: which executors there are, and how ``auto`` chooses one by measuring.

The choice changes the speed and never the numbers. What can change them, the shards, the ranks, the delay and the
BLAS threads, is fixed before the first batch.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

from ..plan.plan import processors
from .rank_group import supported

__all__ = ["EXECUTORS", "Chooser", "candidates", "trial_steps"]

EXECUTORS = ("auto", "inline", "thread", "process")
TRIAL = 12  # steps that an executor is measured over, where passes are long
SHORT_TRIAL = 48  # and where they are short: a disturbance is then as long as many of them
WARM = 4  # of them that do not count
WORTH_IT = 2.0  # seconds; processes are not started for the rest of a run that is shorter anyway


def candidates(executor: str, workers: dict[str, int], *, long: bool, several: bool = True) -> list[str]:
    """What ``auto`` tries, in this order; another `executor` is the only one.

    `workers` is how many passes can go on at once in each. Where passes are `long`, none is the event loop. Where not
    `several` are to be tried, it is the first for short passes, and the last for long ones.
    """
    if executor != "auto":
        return [executor]
    found = ["thread"] if long else ["inline"]
    if processors() > 1 and workers["thread"] > 1 and found == ["inline"]:
        found.append("thread")
    if processors() > 1 and workers["process"] > 1 and supported():
        found.append("process")
    if not several:
        return found[-1:] if long else found[:1]
    return found


def trial_steps(*, long: bool) -> int:
    """How many batches an executor is tried with."""
    return TRIAL if long else SHORT_TRIAL


class Chooser:
    """Says which executor is next, and for how many batches; the last one it names is for the rest of the run.

    `workers` is how many there are of each, `steps` how many batches there will be, None where nobody knows, and
    `trial` how many are to be measured. ``choice`` says what was chosen and why.
    """

    def __init__(self, names: list[str], workers: dict[str, int], steps: int | None, trial: int) -> None:
        self._left, self._workers, self._steps, self._trial = list(names), workers, steps, trial
        self._seconds: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self.choice = ""

    def next(self, done: int) -> tuple[str, int | None]:
        """The executor for the batches from number `done` on, and how many of them."""
        if len(self._left) + len(self._seconds) == 1:
            self.choice = self._named(self._left[0])
            return self._left[0], None
        if self._left == ["process"] and self._steps is not None:
            rest = (self._steps - done) * min(self._seconds.values())
            if rest < WORTH_IT:
                self._left.clear()
        if self._left:
            return self._left.pop(0), self._trial
        best = min(self._seconds, key=self._seconds.__getitem__)
        times = [f"{name} {1e3 * time:.2f}" for name, time in self._seconds.items() if name not in self._failures]
        failures = "".join(f"; {name} cannot start: {why}" for name, why in self._failures.items())
        self.choice = f"{self._named(best)}, measured: {', '.join(times)} ms a step{failures}"
        return best, None

    def failed(self, executor: str, error: Exception) -> None:
        """Note that `executor` cannot be started."""
        self._seconds[executor] = math.inf
        self._failures[executor] = str(error) or type(error).__name__

    def measured(self, executor: str, finished: list[float]) -> None:
        """Note when the batches of a trial of `executor` were `finished`, in seconds."""
        ends = finished[WARM:]
        # Two at a time: with a delay, updates can come in pairs.
        pairs = [(after - before) / 2 for before, after in zip(ends, ends[2:], strict=False)]
        single = [after - before for before, after in pairwise(finished)]
        self._seconds[executor] = median(pairs or single or [float("inf")])

    def _named(self, executor: str) -> str:
        count = self._workers[executor]
        return f"{executor}, {count} worker{'s' if count > 1 else ''}"
