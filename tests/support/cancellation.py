"""A bench for runs that are cut short: it makes them, and checks what they leave behind.

The promise: applied batches are a prefix, every channel is closed, no pass goes on, the version store holds what it
says it does, and the next run goes on as if nothing had happened. The serial loop says which bits those are.
"""

from __future__ import annotations

import random
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pytest
import trio

from recurrio.core import SGD, SequenceBatch, SequenceModel
from recurrio.core.base import blas
from recurrio.core.model.shard import Shard
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors.chooser import Chooser
from recurrio.pipeline.executors.rank_group import RankGroup
from recurrio.pipeline.executors.shared_memory import SharedMemory
from recurrio.pipeline.executors.thread import ThreadPlace
from recurrio.pipeline.flow.channels import Channel, Receiver, Sender
from recurrio.pipeline.plan import plan
from recurrio.pipeline.stages.versions import VersionStore
from recurrio.pipeline.training import run
from recurrio.pipeline.training.wiring import Stage

VOCABULARY, LR = 5, 0.5
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, (7, 2, 3, 4), np.int32)
BATCHES = [SequenceBatch(*pair, reset=number == 3) for number, pair in enumerate(TOKENS[:5])]
MORE = [SequenceBatch(*pair) for pair in TOKENS[5:]]  # of the next run; no reset, so it needs the hidden state
PASSES = ("forward", "backward", "weight_gradient")
TURNS = 50  # of the event loop; a run is over in fewer once it does not wait for a pass


class Case(NamedTuple):
    """How a run is carried out; `links` have a stage of the user's."""

    shards: int = 1
    delay: int = 0
    capacity: int = 1
    executor: str = "inline"
    split: bool = False
    links: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [f"{self.shards} shards", f"delay {self.delay}", f"capacity {self.capacity}", self.executor]
        return ", ".join([*words, *["split"] * self.split, *self.links])


def make_model() -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=3, hidden_size=4, seed=1)


@cache
def serial(shards: int, delay: int, applied: int) -> bytes:
    """The parameters after as many of the batches."""
    model = make_model()
    list(train(model, SGD(LR), BATCHES[:applied], shards=shards, delay=delay))
    return model.parameters.tobytes()


@cache
def serial_and_more(shards: int, delay: int, applied: int) -> bytes:
    """Those after as many, and those of the next run."""
    model = make_model()
    list(train(model, SGD(LR), BATCHES[:applied] + MORE, shards=shards, delay=delay))
    return model.parameters.tobytes()


class Bench:
    """Makes runs of `case`, notes what they make, and checks what they leave.

    ``fault`` is called with each place that a batch has come to, and the number of the batch: from a pass in whichever
    thread it is, before its end. ``goes_on`` is whether `check` includes the next run,
    and ``order`` the seed of the order of the tasks.
    """

    def __init__(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case, self._patch, self._lock = case, monkeypatch, threading.Lock()
        self.fault: Callable[[str, int], None] = _nothing
        self.goes_on, self.order = True, 0
        self.made: dict[type, list[Any]] = {}
        for kind in (Channel, VersionStore, ThreadPlace, RankGroup):
            self._record(kind)
        for name in PASSES:
            self._trace(name)
        self._random = random.Random()  # says in which order trio runs the tasks that can run
        monkeypatch.setattr(trio._core._run, "_ALLOW_DETERMINISTIC_SCHEDULING", True)
        monkeypatch.setattr(trio._core._run, "_r", self._random)
        if case.split:
            monkeypatch.setattr(plan, "SPLIT", 0)
        monkeypatch.setattr(SharedMemory, "release", lambda memory: None)  # `check` looks into it afterwards
        if case.executor == "auto":  # inline, in threads, and inline again
            monkeypatch.setattr(run, "candidates", lambda *_, **__: ["inline", "thread"])
            monkeypatch.setattr(run, "trial_steps", lambda *, long: 2)
            monkeypatch.setattr(Chooser, "measured", _inline_is_faster)
        self._forget()

    def _forget(self) -> None:
        self._begun = self._ended = 0
        self._numbers: dict[tuple[Shard, int], int] = {}
        self._sources: list[AsyncGenerator[SequenceBatch, None]] = []
        self.given, self.steps = 0, list[int]()
        for made in self.made.values():
            made.clear()

    def _record(self, kind: type) -> None:
        original, made = kind.__init__, self.made.setdefault(kind, [])

        def init(self: object, *arguments: object, **options: object) -> None:
            original(self, *arguments, **options)
            made.append(self)

        self._patch.setattr(kind, "__init__", init)

    def _trace(self, name: str) -> None:
        method = getattr(Shard, name)

        def call(shard: Shard, workspace: int, *arguments: Any, **options: Any) -> object:  # noqa: ANN401 (the pass's)
            with self._lock:
                self._begun += 1
            try:
                if name == "forward":
                    self._numbers[shard, workspace] = arguments[1]
                result = method(shard, workspace, *arguments, **options)
                self.fault(name, self._numbers[shard, workspace])
                return result
            finally:
                with self._lock:
                    self._ended += 1

        self._patch.setattr(Shard, name, call)

    def trainer(self) -> Trainer:
        """One that has not run."""
        shards, delay, capacity, executor, _, _ = self.case
        return Trainer(
            make_model(),
            _Optimizer(self),
            schedule=_Schedule(self),
            shards=shards,
            delay=delay,
            capacity=capacity,
            executor=executor,
            ranks=1,
        )

    async def run(self, trainer: Trainer) -> int:
        """The run that is to be cut short."""
        self._forget()
        self._random.seed(self.order)
        between = {link: self._stage(link) for link in self.case.links}
        self._sources.append(self._source())
        return await trainer.run(self._sources[0], on_report=self._report, between=between)

    async def _source(self) -> AsyncGenerator[SequenceBatch, None]:
        for number, batch in enumerate(BATCHES):
            await trio.lowlevel.checkpoint()
            self.fault("source", number)
            self.given += 1
            yield batch
        self.fault("source", len(BATCHES))

    def _report(self, report: Report) -> None:
        self.steps.append(report.step)
        self.fault("report", report.step - 1)

    def _stage(self, link: str) -> Stage:
        async def pass_on(receive: Receiver[Any], send: Sender[Any]) -> None:
            async for message in receive:
                self.fault(link, message.batch_number)
                await send.send(message)

        return pass_on

    @property
    def passes_going_on(self) -> int:
        """How many passes have begun and not ended, in whichever thread."""
        with self._lock:
            return self._begun - self._ended

    async def close(self) -> None:
        """Wait for passes that go on, and close the sources that runs have left open."""
        while self.passes_going_on:
            await trio.lowlevel.checkpoint()
        for source in self._sources:
            await source.aclose()

    async def check(self, trainer: Trainer) -> int:
        """Check what a run has left, before anything else can happen; how many batches it has applied."""
        self.fault, (shards, delay, *_), applied = _nothing, self.case, trainer.step
        assert self.steps == list(range(1, applied + 1)), "reports of other batches than those applied"
        assert trainer.model.parameters.tobytes() == serial(shards, delay, applied), "parameters of no prefix"
        channels = {channel.name: channel._receive.statistics() for channel in self.made[Channel]}
        left = [name for name, ends in channels.items() if ends.open_send_channels or ends.open_receive_channels]
        assert not left, f"open channels: {left}"
        assert not self.passes_going_on, "a pass goes on"
        assert not any(place._limiter.borrowed_tokens for place in self.made[ThreadPlace]), "a thread goes on"
        assert all(worker.poll() is not None for group in self.made[RankGroup] for worker in group._workers), (
            "a worker lives"
        )
        assert all(source.ag_frame is None for source in self._sources), "the source is open"
        assert not blas._holders, "the number of BLAS threads is held"
        for store in self.made[VersionStore][-1:]:  # none, if the run was cut short before its first batch
            assert store.latest == applied, "the store is of another version"
            for version in range(max(0, applied - delay), applied + 1):
                held = store.parameters(version).tobytes()
                assert held == serial(shards, delay, version), f"the store has something else for version {version}"
        if self.goes_on:
            await self._go_on(trainer)
        return applied

    async def _go_on(self, trainer: Trainer) -> None:
        applied = trainer.step
        self._forget()
        assert await trainer.run(MORE) == len(MORE)
        assert trainer.step == applied + len(MORE)
        expected = serial_and_more(self.case.shards, self.case.delay, applied)
        assert trainer.model.parameters.tobytes() == expected, "the next run gives something else"


class _Optimizer(SGD):
    """Fails, if it does, with the next version written."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(LR)
        self._bench = bench

    def update(self, *vectors: Any) -> None:  # noqa: ANN401 (those of update)
        super().update(*vectors)
        self._bench.fault("optimizer", len(self._bench.steps))


class _Schedule:
    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def lr(self, number: int, loss: float | None) -> float:
        self._bench.fault("schedule", number)
        return LR


def _nothing(where: str, number: int) -> None:
    pass


def _inline_is_faster(self: Chooser, executor: str, finished: list[float]) -> None:
    self._seconds[executor] = {"inline": 1, "thread": 2}[executor]


class Fault:
    """Raises `error` when batch `number` has come to `where`, in the shard that is there as number `turn`."""

    def __init__(self, where: str, number: int, error: BaseException, turn: int = 0) -> None:
        self._at, self._error, self._turn, self._turns = (where, number), error, turn, count()

    def __call__(self, where: str, number: int) -> None:
        if (where, number) == self._at and next(self._turns) == self._turn:
            raise self._error


class BeforeStep(trio.abc.Instrument):
    """Calls `act` before the task step number `n` from now on; from 1."""

    def __init__(self, n: int, act: Callable[[], object]) -> None:
        self._left, self._act = n, act

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()


@contextmanager
def point(name: str) -> Iterator[None]:
    """Errors of the block name the point; one that hangs ends."""
    try:
        with trio.fail_after(60):
            yield
    except BaseException as error:
        error.add_note(f"at {name}")
        raise


async def before_step(n: int, act: Callable[[], object], body: Callable[[], Awaitable[int]]) -> int:
    """Run `body`, and call `act` before its task step `n`; with 0, before it begins."""
    if n == 0:
        act()
    instrument = BeforeStep(n, act)
    trio.lowlevel.add_instrument(instrument)
    try:
        return await body()
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def cancel(bench: Bench, n: int) -> int | None:
    """Cancel a run before step `n`, and check; how many batches it applied, None if it had no such step."""
    with point(f"step {n} of {bench.case}"):
        trainer, returned = bench.trainer(), None
        with trio.CancelScope() as scope:
            returned = await before_step(n, scope.cancel, lambda: bench.run(trainer))
        whole = returned == trainer.step == len(BATCHES)
        assert returned is None if scope.cancelled_caught else whole, "a run cut short that returned"
        applied = await bench.check(trainer)
    return applied if scope.cancel_called else None


async def fail(bench: Bench, where: str, number: int, error: BaseException, turn: int = 0) -> int:
    """Raise `error` in a run, and check; how many batches it applied."""
    with point(f"{where} of batch {number}, turn {turn}, of {bench.case}"):
        trainer, bench.fault, caught = bench.trainer(), Fault(where, number, error, turn), None
        try:
            await bench.run(trainer)
        except BaseException as raised:
            caught = raised
        assert caught is error, f"another error: {caught!r}"
        return await bench.check(trainer)


async def cancel_in_pass(bench: Bench, where: str, number: int) -> int:
    """Cancel a run while a pass of batch `number` is under way, and check; how many batches it applied."""
    token = trio.lowlevel.current_trio_token()

    def turn(act: Callable[[], object]) -> None:
        done = threading.Event()
        token.run_sync_soon(act)
        token.run_sync_soon(done.set)
        assert done.wait(30)

    def fault(*at: object) -> None:
        if at == (where, number):
            for _ in range(TURNS):
                turn(scope.cancel)

    with point(f"{where} of batch {number} of {bench.case}"):
        trainer, bench.fault = bench.trainer(), fault
        with trio.CancelScope() as scope:
            await bench.run(trainer)
        assert scope.cancelled_caught
        return await bench.check(trainer)
