"""The trainer: trains a model on batches as they come, in concurrent stages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping
from contextlib import aclosing

from ...core.base.checks import ArgumentError, check_count, check_number
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.optim.optimizers import Optimizer
from ...core.optim.schedules import Schedule
from ..executors.blas import blas_threads as blas_limit
from ..executors.chooser import EXECUTORS
from ..executors.rank_group import supported
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..plan.plan import Plan, default_ranks
from ..stages import Intake
from .run import Run
from .wiring import LINKS, Stage

__all__ = ["Trainer"]


class Trainer:
    """Trains `model` with `optimizer`, in trio stages linked by channels.

    `clip` is the largest gradient norm (None: any); `schedule` sets ``optimizer.lr`` before each update, and `seed` is
    that of the dropout: both count the batches of a run. `delay` is how many versions old the parameters of a batch
    are, by plan; 0 is ordinary sequential training. `shards` is the number of slices the lanes are split into;
    `ranks` is the number of workers that share the hidden units of a shard, None for `default_ranks`. `executor`
    says where all that computes: ``"inline"`` in the event loop, ``"thread"`` in worker threads, ``"process"`` in
    worker processes; ``"auto"`` tries those that fit on the first batches of a run, and goes on with the fastest, see
    `choice`. `capacity` is the room of each channel, in batches, and `blas_threads` the number of threads of one
    product, which trainers that run at once must agree on. With `watchdog`, a stage that is at one item for as many
    seconds ends the run with a StageHungError.

    Shards, ranks, delay and BLAS threads are part of what the weights are a function of; the executor, the capacity
    and the timing are not. After a run, whole or cut short, ``model.parameters`` are those after the batches
    0 … ``step − 1``, all of them and no other.
    """

    def __init__(
        self,
        model: SequenceModel,
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
    ) -> None:
        counts = (("delay", delay, 0), ("shards", shards, 1), ("capacity", capacity, 0))
        for name, value, least in (*counts, ("blas_threads", blas_threads, 1), ("seed", seed, 0)):
            check_count(name, value, least)
        ranks = default_ranks(model, shards, delay) if ranks is None else ranks
        check_count("ranks", ranks)
        for name, number in (("clip", clip), ("watchdog", watchdog)):
            if number is not None:
                check_number(name, number, 0, open_low=True)
        if isinstance(optimizer, type) or not hasattr(optimizer, "step"):
            raise ArgumentError("optimizer", "an optimizer, as Adam(0.01)", repr(optimizer))
        if isinstance(schedule, type) or not (schedule is None or hasattr(schedule, "lr")):
            raise ArgumentError("schedule", "a schedule, as ConstantLR(0.01), or None", repr(schedule))
        if executor not in EXECUTORS:
            raise ArgumentError("executor", f"one of {', '.join(EXECUTORS)}", repr(executor))
        if ranks > model.network.stack.most_ranks:
            raise ArgumentError("ranks", f"at most {model.network.stack.most_ranks} for this model", ranks)
        if executor == "process" and not supported():
            raise ValueError("executor: 'process' takes Linux on x86-64; use 'auto'")
        self.model, self.ranks, self.blas_threads = model, ranks, blas_threads
        self._plan = Plan(
            model=model,
            optimizer=optimizer,
            clip=clip,
            schedule=schedule,
            delay=delay,
            shards=shards,
            ranks=ranks,
            blas_threads=blas_threads,
            seed=seed,
            executor=executor,
            capacity=capacity,
            watchdog=watchdog,
        )
        self.step = 0
        self._running = False
        self._run: Run | None = None  # from the first batch on

    @property
    def choice(self) -> str:
        """Which executor a run that is going on uses, how many workers and, if it was measured, why; "" before that."""
        return self._run.chooser.choice if self._run is not None else ""

    async def run(
        self,
        batches: AsyncIterable[SequenceBatch] | Iterable[SequenceBatch],
        *,
        steps: int | None = None,
        on_report: Callable[[Report], None] | None = None,
        between: Mapping[str, Stage] | None = None,
        timeline: Timeline | None = None,
    ) -> int:
        """Train on `batches`, at most `steps` of them, and return how many were applied.

        All batches have the shape ``(T, B)`` of the first. `on_report` is called after each. The hidden state
        starts from zero. A stage that fails ends all of them, and its error is what is raised here. The arrays of a
        batch belong to the run until it is reported; and as in any trio program, an async generator among `batches`
        must not hold a nursery or a cancel scope open where it yields.

        `between` puts stages of the caller's between those of the pipeline, one task for each shard: it says for
        ``"loaded"``, ``"forwarded"`` or ``"backwarded"``, the messages in `recurrio.pipeline.plan.messages`, an
        ``async def stage(receive, send)`` that sends on each message it receives, in order. It may not wait for more
        before it does: few batches are in flight, `delay` + 1 at most. With it, ``auto`` tries nothing. `timeline`
        records who computed what, and when.
        """
        if steps is not None:
            check_count("steps", steps, 0)
        between = {} if between is None else between
        for link in between:
            if link not in LINKS:
                raise ArgumentError("between", f"stages for {', '.join(LINKS)}", repr(link))
        if self._running:
            raise RuntimeError("this trainer is running already; its model belongs to that run")
        self._running = True
        try:
            return await self._train(batches, steps, on_report, between, timeline)
        finally:
            self._running = False

    async def _train(
        self,
        batches: AsyncIterable[SequenceBatch] | Iterable[SequenceBatch],
        steps: int | None,
        on_report: Callable[[Report], None] | None,
        between: Mapping[str, Stage],
        timeline: Timeline | None,
    ) -> int:
        async with aclosing(_iterate(batches)) as source:
            first = None if steps == 0 else await anext(source, None)
            if first is None:
                return 0
            self.model.network.check(first)
            with blas_limit(self.blas_threads):  # before the run, which may start processes
                intake = Intake(first, source, steps, waits=isinstance(batches, AsyncIterable))
                report = on_report or (lambda report: None)
                self._run = run = Run(self._plan, intake, first, steps, self.step, report, between, timeline)
                error = None
                try:
                    await run.train()
                except BaseExceptionGroup as group:
                    error = run.failure.take(group)
                finally:
                    self._run = None
                    run.close()
                    self.step += run.versions.latest
                if error is not None:
                    try:
                        raise error  # not in the except block, which would make the group its context, and a cycle
                    finally:
                        del error
            return run.versions.latest

    def stop(self, grace: float = 5.0) -> bool:
        """End the run that is going on: it takes no more batches in, and applies those it has.

        What is not applied after `grace` seconds is dropped. `run` then returns as it does at the end of the batches.
        Returns whether there is such a run; one that waits for its first batch has not begun.
        """
        check_number("grace", grace, 0)
        if self._run is not None:
            self._run.stop(grace)
        return self._run is not None


async def _iterate(
    batches: AsyncIterable[SequenceBatch] | Iterable[SequenceBatch],
) -> AsyncGenerator[SequenceBatch, None]:
    """One way to iterate over both kinds; closing it closes an async generator underneath."""
    if isinstance(batches, AsyncIterable):
        iterator = aiter(batches)
        try:
            async for batch in iterator:
                yield _checked(batch)
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
    else:
        for batch in batches:
            yield _checked(batch)


def _checked(batch: SequenceBatch) -> SequenceBatch:
    if not isinstance(batch, SequenceBatch):
        raise ArgumentError("batches", "SequenceBatch after SequenceBatch", type(batch).__name__)
    return batch
