"""The trainer: trains a model on batches as they come, in concurrent stages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from inspect import isawaitable
from weakref import WeakSet

import trio

from ...core.base.blas import blas_threads as blas_limit
from ...core.base.checks import ArgumentError, check_count, check_number
from ...core.base.parameters import Array
from ...core.model.ranks import default_ranks
from ...core.model.trainable import Trainable
from ...core.optim.guard import Guard
from ...core.optim.optimizer import Optimizer
from ...core.optim.schedules import Schedule
from ...core.optim.updater import Updater
from ...core.training_state import TrainingState
from ..checkpoint import CheckpointError, Checkpoints, Found
from ..executors.chooser import check_executor
from ..flow.group import open_group
from ..observe.history import History
from ..observe.notebook import notebook_line
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..plan.plan import Plan
from ..stages import Applied, Batches, Intake, Marks
from .progress import Progress
from .run import Listener, Run
from .wiring import LINKS, Stage

__all__ = ["Trainer"]

_in_training: WeakSet[Trainable] = WeakSet()  # the models of the runs that are going on


class Trainer:
    """Trains `model` with `optimizer`, in trio stages linked by channels.

    `clip` is the largest gradient norm (None: any); `schedule` sets ``optimizer.lr`` before each update, and `seed` is
    that of the dropout: both count the batches of all runs. `delay` is how many versions old the parameters of a batch
    are, by plan; 0 is ordinary sequential training. `shards` is the number of slices the lanes are split into;
    `ranks` is the number of workers that share the hidden units of a shard, None for `default_ranks`. `executor`
    says where all that computes: ``"inline"`` in the event loop, ``"thread"`` in worker threads, ``"process"`` in
    worker processes, ``"mpi"`` in the ranks of an MPI job, see `recurrio.pipeline.executors.mpi`; ``"auto"`` tries
    those of this process and machine that fit, on the first batches of a run, and goes on with the fastest, see
    `choice`. `capacity` is the room of each channel, in batches, and `blas_threads` the number of threads of one
    product, which trainers that run at once must agree on. With `watchdog`, a stage that is at one item for as many
    seconds ends the run with a StageHungError. With a `guard` bad batches are skipped, else one ends the run.

    Shards, ranks, delay and BLAS threads are part of what the weights are a function of; the executor, the capacity
    and the timing are not. A run goes on where the one before has ended: ``run(a)`` and then ``run(b)`` is
    ``run(a + b)``, bit for bit. Where a run is cut short, ``model.parameters`` are those after the batches
    0 … ``step − 1``, all of them and no other, and so is all else in ``state``. `reset` starts anew.

    ``history`` has the curves of all runs. In a notebook a run of more than half a second shows how far it is.

    One optimizer, and one schedule that keeps something, is for one model. Raises ArgumentError.
    """

    def __init__(
        self,
        model: Trainable,
        optimizer: Optimizer,
        *,
        clip: float | None = None,
        schedule: Schedule | None = None,
        delay: int = 0,
        shards: int = 1,
        ranks: int | None = None,
        executor: str = "auto",
        capacity: int = 1,
        blas_threads: int = 1,
        seed: int = 0,
        watchdog: float | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._plan = plan = Plan(
            model=model,
            delay=delay,
            shards=shards,
            ranks=default_ranks(model, shards, delay) if ranks is None else ranks,
            blas_threads=blas_threads,
            seed=seed,
            executor=executor,
            capacity=capacity,
            watchdog=watchdog,
        )
        check_executor(plan)
        updater = Updater(optimizer, clip, schedule, guard)
        settings = {"shards": plan.shards, "ranks": plan.ranks, "delay": plan.delay, "seed": plan.seed}
        self.model, self.state = model, TrainingState(model, updater, **settings)
        self.ranks, self.blas_threads = plan.ranks, plan.blas_threads
        self.history = History()
        self._intake: Intake | None = None  # of the run that is going on
        self._run: Run | None = None  # from its first batch on
        self._tokens = 0  # of the run that it goes on with,
        self._last: Applied | None = None  # and the batch that its last report would be of, if nothing more came

    @property
    def step(self) -> int:
        """How many batches have been applied, in all runs."""
        return self.state.applied

    @property
    def choice(self) -> str:
        """Which executor a run that is going on uses, how many workers and, if it was measured, why; "" before that."""
        return self._run.chooser.choice if self._run is not None else ""

    def latest(self) -> tuple[int, Array]:
        """The newest version and its parameters ``(size,)``, to be read before the next checkpoint of trio's."""
        return (self.step, self.model.parameters) if self._run is None else self._run.latest()

    def report(self) -> Report | None:
        """What a report would say now; None before a run has applied its first batch, and when it has ended."""
        return None if self._run is None else self._run.report()

    async def run(
        self,
        batches: Batches,
        *,
        steps: int | None = None,
        on_report: Callable[[Report], Awaitable[None] | None] | None = None,
        report_every: float = 1,
        between: Mapping[str, Stage] | None = None,
        timeline: Timeline | None = None,
        checkpoints: Checkpoints | None = None,
        task_status: trio.TaskStatus[Trainer] = trio.TASK_STATUS_IGNORED,
    ) -> int:
        """Train on `batches`, at most `steps` of them, and return how many were applied.

        No batch is larger than the first, which has the most steps T, unless `batches` say their ``largest``, the most
        steps and lanes of one. One with fewer lanes leaves the hidden states of the last lanes as they are. They can
        also be `Records`, of which forecasts are made as they come. `on_report` is called after each batch, or each
        `report_every`-th, or, where that is a float, after as many seconds; and for the last one. Of records there is
        one more at the end, when all is known of them. ``step`` and ``model.parameters`` are then those after the
        batch; what it writes into them is lost. It may be async, and no further batch is applied before it has ended.
        A stage that fails ends all of them, and its error is what is raised here. As in any trio program, an async
        generator among `batches` must not hold a nursery or a cancel scope open where it yields; it is closed in the
        end, unless it has more than `steps`, for the next run. With ``nursery.start`` it has started when `stop` can
        end it.

        `between` puts stages of the caller's between those of the pipeline, one task for each shard: it says for
        ``"loaded"``, ``"forwarded"`` or ``"backwarded"``, the messages in `recurrio.pipeline.plan.messages`, an
        ``async def stage(receive, send)`` that sends on each message it receives, in order. It may not wait for more
        before it does: few batches are in flight, `delay` + 1 at most. With it, ``auto`` tries nothing. `timeline`
        records who computed what, and when. `checkpoints` are made meanwhile, and at the end: see `resume`.
        """

        async def listener(report: Report) -> None:
            assert on_report is not None
            waiting = on_report(report)
            if isawaitable(waiting):
                await waiting

        every = _check_every(report_every)
        heard = None if on_report is None else listener
        intake = self._begin(batches, steps, between, every if heard else None, checkpoints)
        task_status.started(self)
        return await self._train(intake, heard, between, timeline, every, checkpoints)

    @asynccontextmanager
    async def reports(
        self,
        batches: Batches,
        *,
        steps: int | None = None,
        report_every: float = 1,
        between: Mapping[str, Stage] | None = None,
        timeline: Timeline | None = None,
        checkpoints: Checkpoints | None = None,
    ) -> AsyncIterator[trio.MemoryReceiveChannel[Report]]:
        """`run`, with the reports to iterate over::

            async with trainer.reports(batches) as reports:
                async for report in reports:
                    ...

        Training waits for whoever reads them. Leaving the block before the end stops the run, see `stop`.
        """
        send, receive = trio.open_memory_channel[Report](0)

        async def listener(report: Report) -> None:
            with suppress(trio.BrokenResourceError):  # the block was left, and the run is coming to its end
                await send.send(report)

        async def train() -> None:
            await self._train(intake, listener, between, timeline, every, checkpoints)
            send.close()  # only now: where it fails, whoever iterates is cancelled, and does not go on as at an end

        every = _check_every(report_every)
        intake = self._begin(batches, steps, between, every, checkpoints)
        async with open_group() as group:
            group.start_soon(train)
            with receive:
                yield receive
            if self._intake is intake:  # and not the one of another run
                self.stop()

    def _begin(
        self,
        batches: Batches,
        steps: int | None,
        between: Mapping[str, Stage] | None,
        every: float | None,
        checkpoints: Checkpoints | None,
    ) -> Intake:
        """Check the arguments of a run, and make its intake; from here on the trainer is running."""
        steps = None if steps is None else check_count("steps", steps, 0)
        for link in between or {}:
            if link not in LINKS:
                raise ArgumentError("between", f"stages for {', '.join(LINKS)}", repr(link))
        if self._intake is not None:
            raise RuntimeError("this trainer is running already; its model belongs to that run")
        if self.model in _in_training:
            raise RuntimeError("another trainer is running with this model")
        marks = Marks(_number(every), None if checkpoints is None else _number(checkpoints.every))
        intake = Intake(batches, steps, marks)
        intake.begin(self.model, self._plan.shards, self.step)
        self._intake = intake
        _in_training.add(self.model)
        return self._intake

    async def _train(
        self,
        intake: Intake,
        listener: Listener | None,
        between: Mapping[str, Stage] | None,
        timeline: Timeline | None,
        every: float,
        checkpoints: Checkpoints | None,
    ) -> int:
        before = self.step
        try:
            if (first := await intake.peek()) is not None:
                with blas_limit(self.blas_threads), notebook_line() as line:  # the run may start processes
                    hooks = listener, between or {}, timeline, every, checkpoints, self._tokens
                    self._run = Run(self._plan, self.state, intake, first, self.history, line, *hooks)
                    del first
                    try:
                        await self._run.train()
                    finally:
                        self._run.close()
            elif self._last is not None and listener is not None:
                await listener(self._report_again(intake, self._last))
            return self.step - before
        finally:
            self._run, self._tokens, self._last = None, 0, None
            try:
                await intake.aclose()
            finally:
                self._intake = None
                _in_training.discard(self.model)

    def _report_again(self, intake: Intake, last: Applied) -> Report:
        """The last report of a run that was cut short behind its `last` batch, and has no other to go on with."""
        progress = Progress(tokens=self._tokens)
        progress.last = last
        records = intake.report(last.batch_number)
        self.history.say(records)
        return progress.report("", None, records, intake.latency(), self.state.updater.guard)

    def stop(self, grace: float = 5.0) -> bool:
        """End the run that is going on: it takes no more batches in, and applies those it has.

        What is not applied after `grace` seconds is dropped. `run` then returns as it does at the end of the batches.
        Returns whether there is such a run.
        """
        grace = check_number("grace", grace, 0)
        if self._run is not None:
            self._run.stop(grace)
        elif self._intake is not None:
            self._intake.close()
        return self._intake is not None

    def ask_for_checkpoint(self) -> None:
        """Let the run that is going on make a checkpoint when it can, if it makes any."""
        if self._run is not None:
            self._run.ask()

    async def checkpoint(self) -> None:
        """Let the run that is going on make a checkpoint now, and wait until it is written.

        Raises CheckpointError where it could not be, RuntimeError where there is no such run, or it has no checkpoints.
        """
        if self._run is None:
            raise RuntimeError("this trainer is not running, or has had no batch yet")
        await self._run.checkpoint()

    def resume(self, checkpoints: Checkpoints, batches: Batches, found: Found | None = None) -> Found | None:
        """Go on from the newest whole one of the `checkpoints`, or from that `found`; None where there is none.

        The model, all else in ``state`` and `batches` are then as they were after as many batches, to the last bit in
        the same build. `batches` are `Records`, a text that `open_source` has opened, or an iterable of the caller's
        own with two methods: ``position()`` says, as JSON, where the next batch begins, and ``rewind(position)`` goes
        back there.

        Raises CheckpointError where none is whole or it is of another run, SourceError where `batches` cannot go back.
        """
        self._check_idle()
        found = found or checkpoints.store.newest()
        if found is not None:
            try:
                tokens = check_count("tokens", found.part.about.get("tokens"), 0)
                intake = Intake(batches, None)
                intake.load(self.model, self._plan.shards, found.part.part("source"))
                intake.recall(found.part.about.get("told"))
                last = found.part.about.get("last")
                last = None if last is None else Applied.of(last)
                self.state.load(found.part.part("training"))
            except (ArgumentError, KeyError, TypeError) as error:
                raise CheckpointError(f"{found.path}: of another run, or damaged: {error}") from None
            self._tokens, self._last = tokens, last
        return found

    def reset(self) -> None:
        """Start anew from the model as it is: no hidden state, batch number 0, optimizer and schedule as new."""
        self._check_idle()
        self.state.reset()
        self.history = History()

    def reset_lanes(self) -> None:
        """Start the next run from hidden states of zero; it may have another number of lanes."""
        self._check_idle()
        self.state.reset_lanes()

    def _check_idle(self) -> None:
        if self._intake is not None:
            raise RuntimeError("this trainer is running; its state belongs to that run")


def _number(every: float | None) -> int | None:
    """So many batches, where that is what is meant."""
    return every if isinstance(every, int) else None


def _check_every(value: float) -> float:
    """What `report_every` is: batches, or seconds."""
    if isinstance(value, float):
        return check_number("report_every", value, 0)
    return check_count("report_every", value)
