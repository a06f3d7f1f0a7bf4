"""Which executor a run uses: ``auto`` chooses one by measuring.

The choice changes the speed and never the numbers. What can change them, the shards, the ranks, the delay and the
BLAS threads, is fixed before the first batch.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

from ...core.base.checks import ArgumentError
from ..flow.worker_process import processors
from ..plan.plan import Plan
from .table import EXECUTORS, TRIED

__all__ = ["AUTO", "Chooser", "candidates", "check_executor", "trial_steps"]

AUTO = "auto"
TRIAL = 12  # steps that an executor is measured over, where passes are long
SHORT_TRIAL = 48  # and where they are short: a disturbance is then as long as many of them
WARM = 4  # of them that do not count
WORTH_IT = 2.0  # seconds; what starts slowly is not started for the rest of a run that is shorter anyway


def check_executor(plan: Plan) -> None:
    """Raise ArgumentError for an executor that there is not, and ValueError for one that cannot be used here."""
    if plan.executor == AUTO:
        return
    if plan.executor not in EXECUTORS:
        raise ArgumentError("executor", f"one of {', '.join([AUTO, *EXECUTORS])}", repr(plan.executor))
    if why := EXECUTORS[plan.executor].refuses(plan):
        raise ValueError(f"executor: {plan.executor!r} cannot be used here: {why}; use {AUTO!r}")


def candidates(plan: Plan, *, long: bool, several: bool = True) -> list[str]:
    """What ``auto`` tries for `plan`, in this order; another executor is the only one.

    Where passes are `long`, none holds up the event loop. The first is always among them, others where several passes
    can go on at once. Where not `several` are to be tried, it is the first for short passes, and the last for long
    ones.
    """
    if plan.executor != AUTO:
        return [plan.executor]
    found: list[str] = []
    for name, executor in TRIED.items():
        if executor.refuses(plan) or (long and executor.holds_up_the_loop):
            continue
        if not found or (processors() > 1 and executor.workers(plan) > 1):
            found.append(name)
    if not several:
        return found[-1:] if long else found[:1]
    return found


def trial_steps(*, long: bool) -> int:
    """How many batches an executor is tried with."""
    return TRIAL if long else SHORT_TRIAL


class Chooser:
    """Says which executor is next, and for how many batches; the last one it names is for the rest of the run.

    It tries the `names`, `plan` says which workers they have; `steps` is the number of the last batch, None where
    nobody knows, and `trial` how many are to be measured. ``choice`` says what was chosen and why.
    """

    def __init__(self, names: list[str], plan: Plan, steps: int | None, trial: int) -> None:
        self._left, self._plan, self._steps, self._trial = list(names), plan, steps, trial
        self._seconds: dict[str, float] = {}
        self._failures: dict[str, str] = {}
        self.choice = ""

    def next(self, done: int) -> tuple[str, int | None]:
        """The executor for the batches from number `done` on, and how many of them."""
        if len(self._left) == 1 and not self._seconds:
            self.choice = self._named(self._left[0]) + self._said_of_others()
            return self._left[0], None
        if len(self._left) == 1 and EXECUTORS[self._left[0]].starts_slowly and self._steps is not None:
            rest = (self._steps - done) * min(self._seconds.values())
            if rest < WORTH_IT:
                self._left.clear()
        if self._left:
            return self._left.pop(0), self._trial
        best = min(self._seconds, key=self._seconds.__getitem__)
        times = ", ".join(f"{name} {1e3 * time:.2f}" for name, time in self._seconds.items())
        self.choice = f"{self._named(best)}, measured: {times} ms a step{self._said_of_others()}"
        return best, None

    def failed(self, executor: str, error: Exception) -> bool:
        """Note that `executor` cannot be started; returns whether there is another to go on with."""
        if self._plan.executor != AUTO:
            return False
        self._failures[executor] = str(error) or type(error).__name__
        self._seconds.pop(executor, None)
        self._left = [name for name in self._left if name != executor]
        if not self._left and not self._seconds:  # it was the only one that was to be tried
            rest = (name for name in reversed(TRIED) if name not in self._failures)
            self._left = [name for name in rest if not TRIED[name].refuses(self._plan)][:1]
        return bool(self._left or self._seconds)

    def measured(self, executor: str, finished: list[float]) -> None:
        """Note when the batches of a trial of `executor` were `finished`, in seconds."""
        ends = finished[WARM:]
        # Two at a time: with a delay, updates can come in pairs.
        pairs = [(after - before) / 2 for before, after in zip(ends, ends[2:], strict=False)]
        single = [after - before for before, after in pairwise(finished)]
        self._seconds[executor] = median(pairs or single or [math.inf])

    def _named(self, executor: str) -> str:
        count = EXECUTORS[executor].workers(self._plan)
        return f"{executor}, {count} worker{'s' if count > 1 else ''}"

    def _said_of_others(self) -> str:
        said = [f"; {name} cannot start: {why}" for name, why in self._failures.items()]
        for name, executor in TRIED.items():
            worth_it = self._plan.executor == AUTO and min(processors(), executor.workers(self._plan)) > 1
            if worth_it and (why := executor.refuses(self._plan)) is not None:
                said.append(f"; {name} cannot be used: {why}")
        return "".join(said)
