"""Shared memory and descriptors are given back when a run ends, however it ends, without the garbage collector."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.optim.updater import Updater
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors.executor import Work
from recurrio.pipeline.executors.process import ProcessExecutor, RemoteRank
from recurrio.pipeline.executors.rank_group import RankGroup
from recurrio.pipeline.executors.shared_memory import SharedMemory, attach
from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.plan.plan import Plan

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


def held() -> list[str]:
    """What this process has of shared memory, and its open files."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    links = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    names = [line.split()[-1] for line in maps] + links
    return sorted(name for name in names if "memfd:" in name or "pipe:" in name)


def children() -> list[int]:
    """The process ids of what this thread has started and not waited for."""
    return list(map(int, Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()))


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    """Without the garbage collector, and with no more held at the end than at the start."""
    gc.collect()
    gc.disable()
    before = held()
    try:
        yield
        after = held()
    finally:
        gc.enable()
    assert after == before


def test_memory_is_shared_until_it_is_closed_and_its_arrays_outlive_it() -> None:
    memory = SharedMemory(10_000)
    other = attach(memory.fd, 10_000)
    memory.array[5000:] = 7
    assert other[4999:5001].tolist() == [0, 7]
    array = memory.array[5000:6000].view(np.int64)
    memory.close()
    assert set(array.view(np.uint8)) == {7}
    memory.release()
    assert not array.any()
    array[:] = 1  # a thread that hangs may still write
    assert other[5000] == 7
    del other


class Failure(Exception):
    """What goes wrong in a run."""


def fail_in_report(report: Report) -> None:
    """Fail outside of the pipeline's own code."""
    if report.step == 4:
        raise Failure


def interrupt(report: Report) -> None:
    """What Ctrl-C does in a program without handlers of its own."""
    if report.step == 4:
        signal.raise_signal(signal.SIGINT)


def murder(report: Report) -> None:
    """End a worker."""
    if report.step == 4:
        os.kill(children()[-1], signal.SIGKILL)


def source_that_fails(batches: list[SequenceBatch]) -> Iterator[SequenceBatch]:
    """Fail where the batches come from."""
    yield from batches[:4]
    raise Failure


@pytest.mark.parametrize("inside", [False, True], ids=["alone", "in a nursery"])
@pytest.mark.parametrize("on_report", [fail_in_report, interrupt, murder, None])
def test_a_run_that_fails_gives_its_memory_back(
    on_report: Callable[[Report], None] | None, inside: bool, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    batches, before, models = make_batches(200, 6, 4, 9), held(), []

    async def train() -> None:
        models.append(SequenceModel(9, hidden_size=8, seed=1))
        trainer = Trainer(models[-1], Adam(0.01), ranks=2, executor="process")
        await trainer.run(source_that_fails(batches) if on_report is None else batches, on_report=on_report)

    async def main() -> None:
        if not inside:
            await train()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await train()

    for _ in range(2):
        with pytest.raises(BaseException) as caught:  # noqa: PT011 (each has its own, and in a group)
            trio.run(main)
        assert held() == before
        assert np.isfinite(models[-1].parameters).all()
        assert models[-1].parameters.any()
        del caught


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_an_interrupt_while_the_workers_are_ended_leaves_nothing_open(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, counts = SequenceModel(9, hidden_size=8, seed=1), {"shards": 2, "ranks": 2, "delay": 0, "seed": 0}
    state = TrainingState(model, Updater(Adam(0.01)), **counts)
    state.open(6, 4)
    plan = Plan(model=model, **counts, blas_threads=1, executor="process", capacity=1, watchdog=None)
    executor = ProcessExecutor(Work(plan, state, 6))
    assert len(children()) == 4
    waits, wait = [], subprocess.Popen.wait

    def interrupted(worker: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        waits.append(worker)
        if len(waits) == at:
            raise KeyboardInterrupt
        return wait(worker, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        executor.close()
    monkeypatch.undo()
    executor.release()
    for group in executor._groups:  # which is nothing but to wait for those that were left
        group.close()
    assert children() == []


@pytest.mark.parametrize("method", ["__init__", "close"])
def test_a_signal_waits_until_workers_have_started_or_ended(
    method: str, make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = "kill" if method == "close" else "__init__"
    plain, calls = getattr(subprocess.Popen, step), []

    def signalled(worker: subprocess.Popen[bytes], *arguments: object, **options: object) -> object:
        calls.append(worker)
        signal.raise_signal(signal.SIGINT)
        return plain(worker, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, step, signalled)
    model = SequenceModel(9, hidden_size=8, seed=1)
    trainer = Trainer(model, Adam(0.01), shards=2, ranks=2, executor="process")
    with pytest.raises(KeyboardInterrupt):
        trio.run(trainer.run, make_batches(5, 6, 4, 9))
    assert len(calls) == 4
    assert children() == []
    calls.clear()


def test_memory_that_cannot_be_mapped_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, size: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "truncate", refuse)
    with pytest.raises(OSError, match="No space left"):
        SharedMemory(10_000)


def test_a_group_that_cannot_start_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, starts = subprocess.Popen.__init__, []

    def fail(worker: subprocess.Popen[bytes], *arguments: object, **options: object) -> None:
        starts.append(worker)
        if len(starts) == 2:
            raise BlockingIOError(11, os.strerror(11))
        plain(worker, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", fail)
    monkeypatch.setattr(subprocess.Popen, "__del__", lambda worker: None)
    memory = SharedMemory(1 << 16)
    with pytest.raises(BlockingIOError):
        RankGroup(RemoteRank, {}, memory, ranks=3)
    memory.close()
    memory.release()
    assert children() == []
    starts.clear()
