"""Worker processes: what happens when one ends, and that none outlives the trainer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.base.blas import blas_threads
from recurrio.core.optim.updater import Updater
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import rank_group
from recurrio.pipeline.executors.executor import Work
from recurrio.pipeline.executors.process import ProcessExecutor
from recurrio.pipeline.flow.worker_process import WorkerError, obstacle
from recurrio.pipeline.plan.plan import Plan

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


def workers_of(parent: int) -> list[int]:
    """The process ids of the children of `parent`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def state_of(process: int) -> str:
    """One letter: R for running, S for sleeping."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]


def has_ended(process: int) -> bool:
    """Whether there is no such process, or only what its parent has not asked for."""
    try:
        return state_of(process) in "XZ"
    except OSError:
        return True


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until `condition` holds, for half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


@pytest.mark.parametrize("delay", [0, 1])
async def test_a_worker_that_dies_is_an_error_and_what_was_applied_stays(
    delay: int, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    model = SequenceModel(9, embedding_size=5, hidden_size=8, seed=1)
    trainer = Trainer(model, Adam(0.01), ranks=2, delay=delay, executor="process")

    def murder(report: Report) -> None:
        if report.step == 5:
            for worker in workers_of(os.getpid()):
                os.kill(worker, signal.SIGKILL)

    with pytest.raises(WorkerError, match="a worker process has ended"):
        await trainer.run(make_batches(500, 6, 4, 9), on_report=murder)
    assert trainer.step >= 5
    assert np.isfinite(model.parameters).all()
    assert workers_of(os.getpid()) == []


async def test_a_worker_that_cannot_start_is_an_error(
    make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_group, "START", "raise SystemExit(3)")
    trainer = Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), ranks=2, executor="process")
    with pytest.raises(WorkerError, match=r"could not start \(exit code 3\)"):
        await trainer.run(make_batches(2, 6, 4, 9))
    assert workers_of(os.getpid()) == []


async def test_a_run_that_is_refused_starts_no_worker(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    trainer = Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), ranks=2, executor="process", blas_threads=2)
    with blas_threads(1), pytest.raises(ValueError, match="blas_threads: expected 1"):
        await trainer.run(make_batches(2, 6, 4, 9))
    assert workers_of(os.getpid()) == []


@pytest.mark.parametrize("stopped", [False, True])
def test_no_worker_outlives_a_trainer_that_is_killed(stopped: bool, text_file: Path, tmp_path: Path) -> None:
    command = "from recurrio.pipeline.command.cli import main; main()"
    words = [sys.executable, "-c", command, "train", str(text_file), "--hidden", "128", "--steps", "1000000"]
    words += ["--out", str(tmp_path), "--executor", "process"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.readline()
        workers = workers_of(process.pid)
        assert len(workers) == 2
        if stopped:
            os.kill(workers[0], signal.SIGSTOP)
            wait_until(lambda: state_of(workers[0]) == "T")
        process.kill()
    wait_until(lambda: all(map(has_ended, workers)))


def test_a_worker_whose_trainer_has_ended_before_it_began_ends(tmp_path: Path) -> None:
    # The process that is named as the trainer is not the one that has started it.
    done = subprocess.run([sys.executable, "-c", rank_group.START, "0", "0", "0", "1"], check=False, timeout=30)
    assert done.returncode == 1


def test_a_trainer_runs_in_one_thread_after_another(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    # The kernel ends workers with the thread that has started them; no run may use those of one before.
    model, batches, errors = SequenceModel(9, hidden_size=8, seed=1), make_batches(40, 6, 4, 9), list[BaseException]()
    trainer = Trainer(model, Adam(0.01), ranks=2, executor="process")

    def run() -> None:
        try:
            trio.run(trainer.run, batches)
        except BaseException as error:
            errors.append(error)

    for _ in range(2):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    assert not errors
    assert trainer.step == 80
    assert workers_of(os.getpid()) == []


def test_an_idle_worker_sleeps(tmp_path: Path) -> None:
    command = "from recurrio.pipeline.command.cli import main; main()"
    words = [sys.executable, "-c", command, "train", "-", "--hidden", "128", "--batch-size", "2", "--seq-len", "8"]
    words += ["--out", str(tmp_path), "--executor", "process", "--json"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"abcdefghijklmnopq")
        process.stdin.flush()
        process.stdout.readline()
        for worker in workers_of(process.pid):
            wait_until(lambda worker=worker: state_of(worker) == "S")
        process.stdin.close()
        assert process.wait(timeout=30) == 0


async def test_closing_ends_the_workers() -> None:
    model = SequenceModel(9, hidden_size=8, seed=1)
    counts = {"shards": 2, "ranks": 2, "delay": 1, "seed": 0}
    state = TrainingState(model, Updater(Adam(0.01)), **counts)
    state.open(6, 4)
    plan = Plan(model=model, **counts, blas_threads=1, executor="process", capacity=1, watchdog=None)
    executor = ProcessExecutor(Work(plan, state, 6))
    try:
        await executor.ready()
        assert len(workers_of(os.getpid())) == 8
    finally:
        executor.close()
        executor.close()
    assert workers_of(os.getpid()) == []
