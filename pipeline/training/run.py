"""One run of a trainer: from one executor to the next until one is chosen, and the state in and out of them."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import trio

from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.optim.guard import Guard
from ...core.training_state import TrainingState
from ..checkpoint import Checkpoints
from ..checkpoint.fingerprint import fingerprint
from ..executors.chooser import Chooser, candidates, trial_steps
from ..executors.executor import Executor, Work
from ..executors.table import EXECUTORS
from ..flow.group import open_group
from ..flow.worker_process import WorkerError
from ..observe.history import History
from ..observe.notebook import NotebookLine
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..observe.watchdog import StageHungError, watch
from ..plan.plan import Plan
from ..stages import Applied, Barrier, Intake, Item, VersionStore
from .progress import Progress
from .wiring import Stage, Wiring

__all__ = ["Listener", "Run"]

PREPARE = 0.2  # seconds between two looks at whether tables have grown
LOOK = 0.5  # and between two reports where nobody is told but the history, and a notebook

Listener = Callable[[Report], Awaitable[None]]


class Run:
    """A run of `plan` from `state` on, with the batches of `intake`, of which `first` is the next item.

    A `listener` is told of batches that were applied, as often as `report_every` says; the state and the model are then
    those after it. The `history` takes in all of them, and what reports say; the `line` shows these. `checkpoints` are
    made meanwhile; `tokens` were trained on by the run that this one goes on with.
    """

    def __init__(
        self,
        plan: Plan,
        state: TrainingState,
        intake: Intake,
        first: Item,
        history: History,
        line: NotebookLine | None,
        listener: Listener | None,
        between: Mapping[str, Stage],
        timeline: Timeline | None,
        report_every: float = 1,
        checkpoints: Checkpoints | None = None,
        tokens: int = 0,
    ) -> None:
        if isinstance(first, SequenceBatch):
            plan.model.network.check(first)
        steps, lanes, keys, spare = intake.size(first, plan.model.network)
        state.open(steps, lanes, keys, spare)
        self._plan, self._state, self._intake, self._listener = plan, state, intake, listener
        self._between, self._timeline, self._steps = between, timeline, state.steps
        # A stage of the user's may remember what has passed, and would begin anew with every executor.
        long, end = plan.long(steps * lanes), None if intake.left is None else state.applied + intake.left
        names = candidates(plan, long=long, several=not between)
        self.chooser = Chooser(names, plan, end, trial_steps(long=long))
        self._split = plan.split(steps * lanes)
        # The batches of records can be small ones, and many.
        self._alone = intake.records is not None and plan.shards == 1 and plan.delay == 0 and not between
        self._executor: Executor | None = None
        self._wiring: Wiring | None = None  # of what has run last
        self._versions: VersionStore | None = None
        self._scope = trio.CancelScope()
        self._progress = Progress(LOOK if listener is None else report_every, tokens)
        self._history, self._line, self._origin = history, line, trio.current_time() - history.seconds
        self._said: tuple[Any, Any] | None = None  # see `_reports`, before the one at the end
        self._checkpoints, self._barrier = checkpoints, None if checkpoints is None else self._guard(checkpoints)

    def _guard(self, checkpoints: Checkpoints) -> Barrier:
        """Let the batches pass a barrier, at which `checkpoints` are made."""
        intake, state = self._intake, self._state

        def passes(number: int) -> None:
            if barrier.due(number) and intake.rests:
                enter(number)

        def enter(number: int) -> None:
            barrier.enter(number, Part.of({"outputs": checkpoints.positions()}, source=intake.dump()))

        def gathered(number: int, source: Part) -> None:
            assert self._executor is not None
            training = Part.of(training=state.snapshot(self._executor.memory))
            about = {"step": number, "tokens": self._progress.tokens, "settings": dict(checkpoints.settings)}
            reports, last = self._said or self._reports(checkpoints)
            about |= {"reports": reports, "last": last, "told": intake.told()}
            about |= {"fingerprint": fingerprint(self._plan.blas_threads), "model": state.model.config}
            parts = {**source.arrays, **training.arrays}
            checkpoints.put(number, Part(parts, {**about, **source.about, **training.about}))

        barrier = Barrier(checkpoints.every, lambda: state.applied, gathered)
        self._enter = enter
        intake.guard(passes)
        return barrier

    def _reports(self, checkpoints: Checkpoints) -> tuple[Any, Any]:
        """How long they are, and the batch of which there is one more if this is the end."""
        last = self._progress.last if self._progress.is_behind or self._intake.records is not None else None
        return checkpoints.of_reports(), None if last is None else last.dump()

    def latest(self) -> tuple[int, Array]:
        """See `Trainer.latest`."""
        versions = self._versions
        if versions is None or self._executor is None:
            return self._state.applied, self._state.model.parameters
        return versions.latest, versions.parameters(versions.latest)

    def ask(self) -> None:
        """See `Trainer.ask_for_checkpoint`."""
        if self._barrier is not None:
            self._barrier.ask()

    async def checkpoint(self) -> None:
        """See `Trainer.checkpoint`."""
        if self._barrier is None or self._checkpoints is None:
            raise RuntimeError("this run has no checkpoints")
        self.ask()
        await self._checkpoints.next()

    async def _look_at_the_clock(self) -> None:
        """Gather a state where one is due while a batch is waited for."""
        barrier, intake = self._barrier, self._intake
        assert barrier is not None
        while True:
            await barrier.wait()
            if intake.waits and barrier.due(intake.number) and intake.rests:
                self._enter(intake.number)

    async def _prepare(self) -> None:
        """Have memory for the copies of the tables of keys before they are made, as these grow."""
        while (records := self._intake.records) is not None:
            keys = None if self._executor is None else self._executor.memory.keys
            for copies in [*records.copies, *([] if keys is None else keys.copies)]:
                if copies.unprepared(records.rows):
                    await trio.to_thread.run_sync(copies.prepare, records.rows)
            await trio.sleep(PREPARE)

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """End the workers; the state, and with it the model, is that after the last batch applied."""
        executor, self._executor = self._executor, None
        if executor is not None:
            try:
                executor.close()
            finally:
                try:
                    if self._state.entered:
                        self._state.leave(executor.memory, self._state.applied)
                finally:
                    executor.release()

    def stop(self, grace: float) -> None:
        """Take no more batches in; what is not applied after `grace` seconds is dropped."""
        self._intake.close()
        self.ask()  # in case that what has come already takes too long
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + grace)

    async def train(self) -> None:
        """Run to the end of the intake, and let checkpoints be written meanwhile, the last one then."""
        if self._checkpoints is None or self._barrier is None:
            await self._train()
            return
        async with open_group() as group:
            group.start_background(self._checkpoints.write)
            group.start_background(self._look_at_the_clock)
            group.start_background(self._prepare)
            group.start_soon(self._train)
        if self._intake.number == self._state.applied and self._intake.rests and self._executor is not None:
            self._enter(self._state.applied)
        await self._checkpoints.drain()

    async def _train(self) -> None:
        """With one executor after another until one is chosen."""
        with self._scope:
            while not self._intake.closed:
                name, limit = self.chooser.next(self._state.applied)
                if self._executor is None or self._executor.name != name:
                    self.close()
                    try:
                        await self._open(name)
                    except (WorkerError, StageHungError, OSError, ValueError, TypeError) as error:
                        if not self.chooser.failed(name, error):
                            raise
                        continue
                await self._segment(limit)
        self._intake.end()
        if self._checkpoints is not None:
            self._said = self._reports(self._checkpoints)
        # Of records more is known at their end than when the last batch was applied.
        if self._progress.is_behind or self._intake.records is not None:
            await self._report()

    def report(self) -> Report | None:
        """See `Trainer.report`."""
        if self._progress.last is None or self._executor is None or self._wiring is None:
            return None
        records = None if self._intake.records is None else self._intake.records.report()
        return self._progress.now(self._executor.name, self._wiring, records, *self._more())

    def _more(self) -> tuple[Mapping[str, float] | None, Guard | None]:
        return self._intake.latency(), self._state.updater.guard

    async def _report(self) -> None:
        """Tell the history, the line and the listener of the batch that was applied last, if there is one."""
        if self._progress.last is None or self._executor is None:
            return
        assert self._versions is not None
        assert self._wiring is not None
        records = self._intake.report(self._progress.last.batch_number)
        report = self._progress.report(self._executor.name, self._wiring, records, *self._more())
        self._history.say(records)
        if self._line is not None:
            self._line.report(report)
        if self._listener is not None:
            self._versions.copy_latest(self._state.model.parameters)
            await self._listener(report)

    @trio.lowlevel.enable_ki_protection
    def _note(self, batch: Applied) -> None:
        time = trio.current_time() - self._origin
        self._history.add(time, batch.batch_number + 1, batch.size, batch.loss, self._state.updater.lr)

    async def _open(self, name: str) -> None:
        self._make(name)
        assert self._executor is not None
        try:
            patience = math.inf if self._plan.watchdog is None else self._plan.watchdog
            with trio.move_on_after(patience) as waiting:
                await self._executor.ready()
            if waiting.cancelled_caught:
                raise StageHungError(f"the workers have not started within {patience} s")
        except BaseException:
            self.close()
            raise
        self._state.enter(self._executor.memory)

    @trio.lowlevel.enable_ki_protection
    def _make(self, name: str) -> None:
        self._executor = EXECUTORS[name](Work(self._plan, self._state, self._steps))

    async def _segment(self, limit: int | None) -> None:
        """Run the stages, for at most `limit` batches, and then tell the chooser how fast they were."""
        assert self._executor is not None
        executor, state, times = self._executor, self._state, list[float]()
        self._wiring = wiring = Wiring(self._plan, self._between, self._timeline)
        self._versions = versions = VersionStore(executor.memory.parameters, state.applied)

        async def applied(batch: Applied) -> None:
            state.applied = versions.latest
            self._intake.applied(trio.current_time(), batch.loss)
            if limit is not None:
                times.append(trio.current_time())
            self._note(batch)
            if self._progress.count(batch):
                await self._report()
            if self._barrier is not None:
                self._barrier.meet()

        numbers = count(state.applied) if limit is None else range(state.applied, state.applied + limit)
        try:
            with wiring.workspaces():
                async with open_group() as group:
                    for watch_worker in executor.watches():
                        group.start_background(watch_worker)
                    wiring.start(
                        group,
                        self._intake,
                        numbers,
                        executor.places,
                        versions,
                        state,
                        applied,
                        split=self._split,
                        alone=self._alone and executor.holds_up_the_loop,
                    )
                    if self._plan.watchdog is not None:  # a run that is being cancelled can hang as well
                        group.start_background(self._watch, executor, wiring, shield=True)
        finally:
            state.applied = versions.latest
        if limit is not None:
            self.chooser.measured(executor.name, times)

    async def _watch(self, executor: Executor, wiring: Wiring) -> None:
        assert self._plan.watchdog is not None
        try:
            await watch(wiring.meters, self._plan.watchdog)
        except StageHungError:
            for place in executor.places:
                place.give_up()
            raise
