"""The trainer: opens the channels and the one nursery. The wiring of the pipeline is in this file alone.

For M shards, with a chain of channels for each (m = 0 … M−1)::

    batches ─► load ─┬─ loaded m ─► forward m ─ forwarded m ─► backward m ─ backwarded m ─┬─► update ─► on_report
                     │                 ▲                                                  │
                     └ …               └──────────────── free m (workspaces) ◄────────────┘

The only cycle is the one of the free workspaces. It cannot fill up: ``free m`` has room for every workspace there
is. ``delay + 1`` workspaces a shard are all that can be in flight, because batch k waits for version k − delay.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, aclosing
from time import perf_counter
from typing import Any

import numpy as np
import trio

from ..core.batch import SequenceBatch, shard_lanes
from ..core.errors import ArgumentError, check_count, check_number
from ..core.model import SequenceModel
from ..core.optimizers import Optimizer
from ..core.schedules import Schedule
from ..core.shard import Shard
from . import stages
from .blas import blas_threads
from .channels import Channel
from .crew import Crew, Crews
from .messages import Backwarded, Forwarded, Loaded
from .places import InlinePlace, Place, ThreadPlace
from .reports import Report, StageMeter
from .team import supported
from .versions import VersionStore

__all__ = ["EXECUTORS", "Trainer", "default_ranks"]

EXECUTORS = ("auto", "inline", "thread", "process")
SPEED_WINDOW = 32  # steps that tokens_per_second is measured over


def default_ranks(model: SequenceModel, shards: int) -> int:
    """Ranks by the sizes alone, never by the machine, because their number can change the last bits.

    Two, where the units of one shard are enough to share; one where there are several shards.
    """
    return 2 if shards == 1 and model.network.stack.most_ranks >= 128 else 1


class Trainer:
    """Trains `model` with `optimizer`, in trio stages linked by channels.

    `clip` is the largest gradient norm (None: any); `schedule` sets ``optimizer.lr`` before each update, and `seed` is
    that of the dropout: both count the batches of a run. `delay` is how many versions old the parameters of a batch
    are, by plan; 0 is ordinary sequential training. `shards` is the number of slices the lanes are split into;
    `ranks` is the number of workers that share the hidden units of a shard, None for `default_ranks`. `executor`
    says where all that computes: ``"inline"`` in the event loop, ``"thread"`` in worker threads, ``"process"`` with
    the ranks of a shard at once, in processes; ``"auto"`` is one of them, by `Trainer.where`. `capacity` is the room
    of each channel, in batches, and `blas_threads` the number of threads of one product, which trainers that run at
    once must agree on.

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
    ) -> None:
        ranks = default_ranks(model, shards) if ranks is None else ranks
        counts = (("delay", delay, 0), ("shards", shards, 1), ("ranks", ranks, 1), ("capacity", capacity, 0))
        for name, value, least in (*counts, ("blas_threads", blas_threads, 1), ("seed", seed, 0)):
            check_count(name, value, least)
        if clip is not None:
            check_number("clip", clip, 0, open_low=True)
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
        self.model, self.optimizer, self.clip = model, optimizer, clip
        self.delay, self.shards, self.ranks, self.capacity = delay, shards, ranks, capacity
        self.executor, self.blas_threads, self.schedule, self.seed = executor, blas_threads, schedule, seed
        self.step = 0

    def where(self, steps: int, lanes: int) -> tuple[str, bool]:
        """The executor for batches of `steps` × `lanes`, and whether this process's part runs in the event loop.

        By the sizes and the processors there are. A forward pass takes about two operations a parameter and token.
        A thread hop pays from about a millisecond of them on where another pass can run meanwhile; where none can,
        only so that the event loop is not held up for long.
        """
        executor, alone = self.executor, self.shards == 1 and self.delay == 0
        operations = 2 * self.model.layout.size * steps * lanes // (self.shards * self.ranks)
        inline = operations < (500e6 if alone else 50e6)
        if executor == "auto":
            processors = len(os.sched_getaffinity(0)) if supported() else 1
            several = self.ranks > 1 and processors >= self.ranks * self.shards
            executor = "process" if several else "inline" if inline else "thread"
        return executor, inline if executor == "process" else executor == "inline"

    async def run(
        self,
        batches: AsyncIterable[SequenceBatch] | Iterable[SequenceBatch],
        *,
        steps: int | None = None,
        on_report: Callable[[Report], None] | None = None,
    ) -> int:
        """Train on `batches`, at most `steps` of them, and return how many were applied.

        All batches have the shape ``(T, B)`` of the first. `on_report` is called after each. The hidden state
        starts from zero. A stage that fails ends all of them, and its error is what is raised here.
        """
        if steps is not None:
            check_count("steps", steps, 0)
        async with aclosing(_iterate(batches)) as source:
            first = None if steps == 0 else await anext(source, None)
            if first is None:
                return 0
            self.model.network.check(first)
            with blas_threads(self.blas_threads):  # before the run, which may start processes
                run = _Run(self, first, on_report or (lambda report: None))
                try:
                    await run.stages(first, source, steps)
                except BaseExceptionGroup as group:
                    error = _root_cause(group)
                    raise error from error.__cause__
                finally:
                    run.versions.copy_latest(self.model.parameters)
                    self.step += run.versions.latest
            return run.versions.latest


class _Run:
    """The channels, stages and buffers of one run."""

    def __init__(self, trainer: Trainer, first: SequenceBatch, on_report: Callable[[Report], None]) -> None:
        model, credits = trainer.model, trainer.delay + 1
        self.trainer, self.on_report = trainer, on_report
        steps, lanes = first.inputs.shape[:2]
        self.lanes = shard_lanes(lanes, trainer.shards)
        widths, size, slots = [part.stop - part.start for part in self.lanes], model.layout.size, trainer.delay + 2
        executor, inline = trainer.where(steps, lanes)
        computers: Sequence[Shard | Crew]
        self.crews: Crews | None = None
        if executor == "process":
            self.crews = Crews(
                model,
                steps,
                widths,
                ranks=trainer.ranks,
                slots=slots,
                workspaces=credits,
                blas_threads=trainer.blas_threads,
                seed=trainer.seed,
            )
            parameters, self.gradients, computers = self.crews.parameters, self.crews.gradients, self.crews.crews
        else:
            parameters = np.zeros((slots, size), model.dtype)
            self.gradients = [np.zeros((trainer.ranks, credits, size), model.dtype) for _ in widths]
            computers = [
                Shard(model, steps, width, parameters, gradients, (trainer.seed, index))
                for index, (width, gradients) in enumerate(zip(widths, self.gradients, strict=True))
            ]
        parameters[0] = model.parameters
        self.versions = VersionStore(parameters)
        limiter = trio.CapacityLimiter(2 * trainer.shards)  # every forward and backward task may compute at once
        self.places: list[Place] = [
            InlinePlace(computer) if inline else ThreadPlace(computer, limiter) for computer in computers
        ]

        def channels(name: str, capacity: int) -> list[Channel[Any]]:
            return [Channel(f"{name} {shard}", capacity) for shard in range(trainer.shards)]

        self.loaded: list[Channel[Loaded]] = channels("loaded", trainer.capacity)
        self.forwarded: list[Channel[Forwarded]] = channels("forwarded", trainer.capacity)
        self.backwarded: list[Channel[Backwarded]] = channels("backwarded", trainer.capacity)
        self.free: list[Channel[int]] = channels("free", credits)
        self.meters: list[StageMeter] = []
        self.finished: deque[tuple[float, int]] = deque(maxlen=SPEED_WINDOW)

    async def stages(self, first: SequenceBatch, rest: AsyncIterator[SequenceBatch], steps: int | None) -> None:
        """Run the four stages to the end of the batches, or of `steps` of them."""
        trainer, versions = self.trainer, self.versions
        async with AsyncExitStack() as stack, trio.open_nursery() as nursery:
            if self.crews is not None:
                stack.enter_context(self.crews)
                await trio.to_thread.run_sync(self.crews.ready)
            for channel in self.free:
                for workspace in range(channel.capacity):
                    await channel.sender.send(workspace)
            self.start = perf_counter()
            self.finished.append((self.start, 0))
            send_loaded = [channel.sender for channel in self.loaded]
            meter = self._meter("load", [], send_loaded)
            nursery.start_soon(
                stages.load,
                first,
                rest,
                self.lanes,
                send_loaded,
                meter,
                trainer.model.network,
                steps,
                name="load",
            )
            for shard, place in enumerate(self.places):
                receive, free, send = (
                    self.loaded[shard].receiver,
                    self.free[shard].receiver,
                    self.forwarded[shard].sender,
                )
                meter = self._meter(f"forward {shard}", [receive, free], [send])
                arguments = (receive, free, send, place, versions, trainer.delay, meter)
                nursery.start_soon(stages.forward, *arguments, name=meter.name)
            for shard, place in enumerate(self.places):
                receive_forwarded, send_backwarded = self.forwarded[shard].receiver, self.backwarded[shard].sender
                meter = self._meter(f"backward {shard}", [receive_forwarded], [send_backwarded])
                nursery.start_soon(
                    stages.backward, receive_forwarded, send_backwarded, place, versions, meter, name=meter.name
                )
            receive_backwarded = [channel.receiver for channel in self.backwarded]
            meter = self._meter("update", receive_backwarded, [])
            nursery.start_soon(
                stages.update,
                receive_backwarded,
                [channel.sender for channel in self.free],
                [rows.transpose(1, 0, 2) for rows in self.gradients],
                versions,
                trainer.optimizer,
                trainer.clip,
                trainer.schedule,
                trainer.delay,
                meter,
                self._applied,
                name="update",
            )

    def _meter(self, name: str, receivers: list[Any], senders: list[Any]) -> StageMeter:
        self.meters.append(StageMeter(name, receivers, senders))
        return self.meters[-1]

    def _applied(self, step: int, version: int, loss: float, grad_norm: float, tokens: int) -> None:
        now = perf_counter()
        since, before = self.finished[0]
        total = self.finished[-1][1] + tokens
        self.finished.append((now, total))
        channels: list[Channel[Any]] = [*self.loaded, *self.forwarded, *self.backwarded, *self.free]
        self.on_report(
            Report(
                step=self.trainer.step + step,
                version=self.trainer.step + version,
                staleness=step - 1 - version,
                loss=loss,
                grad_norm=grad_norm,
                tokens=total,
                tokens_per_second=(total - before) / (now - since),
                seconds=now - self.start,
                stages=tuple(meter.report() for meter in self.meters),
                channels=tuple(channel.report() for channel in channels),
            )
        )


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


def _root_cause(group: BaseExceptionGroup[Any]) -> BaseException:
    """The first error in `group` that is not just a stage noticing that its neighbour has ended."""
    leaves: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending = [*error.exceptions, *pending]
        else:
            leaves.append(error)
    echoes = (trio.BrokenResourceError, trio.ClosedResourceError, trio.Cancelled)
    return next((leaf for leaf in leaves if not isinstance(leaf, echoes)), leaves[0])
