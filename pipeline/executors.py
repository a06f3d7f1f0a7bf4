"""Where a run is computed: which executors there are, and how ``auto`` chooses one by measuring.

The choice changes the speed and never the numbers. What can change them, the shards, the ranks, the delay and the
BLAS threads, is fixed before the first batch.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from .plan import processors
from .team import supported

__all__ = ["EXECUTORS", "Chooser", "candidates"]

EXECUTORS = ("auto", "inline", "thread", "process")
TRIAL = 12  # steps that an executor is measured over
WARM = 4  # of them that do not count
WORTH_IT = 2.0  # seconds; processes are not started for the rest of a run that is shorter anyway


def candidates(executor: str, workers: dict[str, int], *, long: bool) -> list[str]:
    """What ``auto`` tries, in this order; another `executor` is the only one.

    `workers` is how many passes can go on at once in each. Where passes are `long`, none is the event loop.
    """
    if executor != "auto":
        return [executor]
    found = ["thread"] if long else ["inline"]
    if processors() > 1 and workers["thread"] > 1 and found == ["inline"]:
        found.append("thread")
    if processors() > 1 and workers["process"] > 1 and supported():
        found.append("process")
    return found


class Chooser:
    """Says which executor is next, and for how many batches; the last one it names is for the rest of the run.

    `workers` is how many there are of each, `steps` how many batches there will be, None where nobody knows.
    ``choice`` says what was chosen and why.
    """

    def __init__(self, names: list[str], workers: dict[str, int], steps: int | None) -> None:
        self._left, self._workers, self._steps = list(names), workers, steps
        self._seconds: dict[str, float] = {}
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
            return self._left.pop(0), TRIAL
        best = min(self._seconds, key=self._seconds.__getitem__)
        self.choice = f"{self._named(best)}, measured: " + ", ".join(
            f"{name} {1e3 * seconds:.2f}" for name, seconds in self._seconds.items()
        )
        self.choice += " ms a step"
        return best, None

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
