"""One run of a trainer: its buffers, where it is computed, and its reports."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import trio

from ...core.base.arena import Arena
from ...core.model.batch import SequenceBatch, shard_lanes
from ...core.model.shard import Shard
from ..executors.chooser import Chooser, candidates, trial_steps
from ..executors.inline import InlinePlace
from ..executors.memory import Shared
from ..executors.place import Place
from ..executors.process import ProcessExecutor
from ..executors.rank_group import WorkerError
from ..executors.thread import ThreadPlace
from ..flow.group import FirstError
from ..observe.meters import StageMeter
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..observe.watchdog import StageHungError, watch
from ..plan.plan import Plan
from ..stages import Intake
from ..stages.versions import VersionStore
from .wiring import Stage, Wiring

__all__ = ["Run"]

SPEED_WINDOW = 32  # steps that tokens_per_second is measured over


class Run:
    """A run of `plan` on the batches of `intake`, which have the shape of `first`.

    `steps` is how many there will be, if that is known, and `before` how many the trainer has applied in other runs.
    ``failure`` has the error that ended it.
    """

    def __init__(
        self,
        plan: Plan,
        intake: Intake,
        first: SequenceBatch,
        steps: int | None,
        before: int,
        on_report: Callable[[Report], None],
        between: Mapping[str, Stage],
        timeline: Timeline | None,
    ) -> None:
        self._plan, self._intake, self._before, self._on_report = plan, intake, before, on_report
        self._between, self._timeline, self._shape = between, timeline, first.inputs.shape
        self._lanes = shard_lanes(first.inputs.shape[1], plan.shards)
        self._widths = [part.stop - part.start for part in self._lanes]
        self._counts = {"ranks": plan.ranks, "slots": plan.delay + 2, "workspaces": plan.workspaces()}
        self._passes = plan.shards * self._counts["workspaces"]  # no more can go on at once
        workers = {"inline": 1, "thread": self._passes, "process": self._passes * plan.ranks}
        # A stage of the user's may remember what has passed, and would begin anew with every executor.
        long = plan.long(first)
        names = candidates(plan.executor, workers, long=long, several=not between)
        self._split = plan.split(first)
        self.chooser = Chooser(names, workers, steps, trial_steps(long=long))
        self._memory = None
        if "process" in names:
            self._memory = ProcessExecutor.memory(plan.model, self._shape[0], self._widths, **self._counts)
        arena = Arena(None if self._memory is None else self._memory.array)
        self._shared = Shared(plan.model, self._widths, **self._counts, arena=arena)
        self._shared.parameters[0] = plan.model.parameters
        self.versions = VersionStore(self._shared.parameters)
        self._shards: list[Shard] = []
        self._crews: ProcessExecutor | None = None
        self._places: Sequence[Place] = ()
        self._scope = trio.CancelScope()
        self.failure = FirstError()
        self._loss: float | None = None
        self._start = trio.current_time()
        self._finished = deque([(self._start, 0)], maxlen=SPEED_WINDOW)

    def close(self) -> None:
        """End the workers, write the latest version into the model, and give the memory back."""
        self._close_crews()
        self.versions.copy_latest(self._plan.model.parameters)
        if self._memory is not None:
            self._memory.close()

    def _close_crews(self) -> None:
        if self._crews is not None:
            self._crews.close()
            self._crews = None

    def stop(self, grace: float) -> None:
        """Take no more batches in; what is not applied after `grace` seconds is dropped."""
        self._intake.close()
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + grace)

    async def train(self) -> None:
        """Run to the end of the intake, with one executor after another until one is chosen."""
        with self._scope:
            while not self._intake.closed:
                executor, limit = self.chooser.next(self.versions.latest)
                if executor == "process" and self._crews is None:
                    try:
                        await self._start_crews()
                    except (WorkerError, StageHungError, OSError, ValueError, TypeError) as error:
                        self._close_crews()
                        if limit is None:
                            raise
                        self.chooser.failed(executor, error)
                        continue
                if limit is None:  # what the others were tried with is not needed any more
                    if executor == "process":
                        self._shards.clear()
                    else:
                        self._close_crews()
                await self._segment(executor, limit)

    async def _segment(self, executor: str, limit: int | None) -> None:
        first = self.versions.latest
        wiring, times = Wiring(self._plan, self._between, self._timeline, self.failure), list[float]()

        def applied(step: int, version: int, loss: float, grad_norm: float, tokens: int) -> None:
            now, (since, before) = trio.current_time(), self._finished[0]
            total = self._finished[-1][1] + tokens
            self._finished.append((now, total))
            self._loss = loss
            if limit is not None:
                times.append(now)
            stages, channels = wiring.reports(now)
            self._on_report(
                Report(
                    step=self._before + step,
                    version=self._before + version,
                    staleness=step - 1 - version,
                    loss=loss,
                    grad_norm=grad_norm,
                    tokens=total,
                    tokens_per_second=(total - before) / max(now - since, 1e-9),
                    seconds=now - self._start,
                    executor=executor,
                    stages=stages,
                    channels=channels,
                )
            )

        async with trio.open_nursery() as helpers:
            watching = trio.CancelScope(shield=True)  # a run that is being cancelled can hang as well
            if self._plan.watchdog is not None:
                helpers.start_soon(self.failure.guard, self._watch, watching, wiring.meters)
            try:
                places = self._open_places(executor, helpers)
                await wiring.run(
                    self._intake,
                    self._shape,
                    count(first) if limit is None else range(first, first + limit),
                    self._lanes,
                    places,
                    [carried.gradients for carried in self._shared.carried],
                    self.versions,
                    applied,
                    self._loss,
                    split=self._split,
                )
            finally:
                watching.cancel()
            helpers.cancel_scope.cancel()
        if limit is not None:
            self.chooser.measured(executor, times)

    async def _start_crews(self) -> None:
        plan = self._plan
        assert self._memory is not None
        options: dict[str, int] = {**self._counts, "blas_threads": plan.blas_threads, "seed": plan.seed}
        self._crews = ProcessExecutor(plan.model, self._shape[0], self._widths, self._memory, **options)
        patience = math.inf if plan.watchdog is None else plan.watchdog
        with trio.move_on_after(patience) as waiting:
            await self._crews.ready()
        if waiting.cancelled_caught:
            raise StageHungError(f"the workers have not started within {patience} s")

    async def _watch(self, scope: trio.CancelScope, meters: list[StageMeter]) -> None:
        assert self._plan.watchdog is not None
        with scope:
            try:
                await watch(meters, self._plan.watchdog)
            except StageHungError:
                for place in self._places:
                    place.give_up()
                raise

    def _open_places(self, executor: str, helpers: trio.Nursery) -> list[Place]:
        """Where the shards are computed; `helpers` watch over the workers."""
        plan, steps = self._plan, self._shape[0]
        if executor == "process":
            assert self._crews is not None
            for watch_worker in self._crews.watches():
                helpers.start_soon(self.failure.guard, watch_worker)
            self._places = [*self._crews.crews]
            return self._places
        if not self._shards:
            self._shards += [
                Shard(plan.model, steps, width, self._shared.parameters, carried, (plan.seed, index))
                for index, (width, carried) in enumerate(zip(self._widths, self._shared.carried, strict=True))
            ]
        if executor == "inline":
            self._places = [InlinePlace(shard) for shard in self._shards]
        else:
            limiter = trio.CapacityLimiter(self._passes)
            self._places = [ThreadPlace(shard, limiter) for shard in self._shards]
        return self._places
