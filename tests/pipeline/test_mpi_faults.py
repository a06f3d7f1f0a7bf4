"""Jobs of MPI in which something goes wrong: one clear line, nobody is left, and the run can be gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from support.mpi import COMMAND, needs_mpi, ranks_of, run_job, wait_for_the_end
from support.mpi import job as start_job

from recurrio.core import load_weights

pytestmark = needs_mpi

SIZES = ["--batch-size", "8", "--seq-len", "16", "--hidden", "24", "--embedding", "8", "--shards", "2", "--delay", "1"]


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until `condition` holds, for half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_fails_in_a_worker_is_an_error_of_the_run_and_the_next_one_is_whole(tmp_path: Path) -> None:
    done = run_job(5, "-m", "support.mpi_faults", where=tmp_path)
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)
    assert "5 shards take 6 ranks, and there are 5: mpiexec -n 6 recurrio train" in cases.pop("ranks are too few")
    for shards, found in cases.items():
        assert found["a worker fails"].startswith("WorkerError: rank 2 on "), shards
        assert found["a worker fails"].endswith(": MemoryError: no room for a pass")
        assert found["a listener fails"] == "KeyError: 'of a listener'"
        assert found["it is stopped"] == ""
        said = "WorkerError: rank 2 would not compute the bits of rank 0: there kernels was "
        assert found["another arithmetic"].startswith(said)
        assert found["another arithmetic"].endswith(", is abacus")
        assert found["all is well"] == ""


def digest(folder: Path) -> str:
    """Of the weights."""
    weights, _ = load_weights(folder / "model.safetensors")
    return hashlib.sha256(b"".join(weights[name].tobytes() for name in sorted(weights))).hexdigest()


def test_killed_and_stopped_it_goes_on_to_the_same_model(text_file: Path, tmp_path: Path) -> None:
    """A rank is killed, then mpiexec is sent SIGTERM, then it comes to its end: as a run of one process does."""
    words = ["train", text_file, *SIZES, "--checkpoint-every", "20", "--resume"]
    alone = [*map(str, words), "--executor", "inline", "--steps", "900", "--out", str(tmp_path / "alone")]
    subprocess.run([sys.executable, *COMMAND, *alone], check=True, capture_output=True)
    words += ["--executor", "mpi", "--out", tmp_path / "an out"]
    states = tmp_path / "an out" / "checkpoints"

    with start_job(3, *COMMAND, *words, "--steps", "1000000", where=tmp_path) as job:
        ranks = ranks_of(job, 3)
        wait_until(lambda: states.exists() and len(list(states.glob("*.safetensors"))) >= 2)
        ranks[2].kill()
        wait_for_the_end(job, ranks, 10)
        assert job.returncode != 0
    with start_job(3, *COMMAND, *words, "--steps", "1000000", where=tmp_path) as job:
        ranks, before = ranks_of(job, 3), set(states.iterdir())
        wait_until(lambda: set(states.iterdir()) != before)
        os.kill(job.pid, signal.SIGTERM)
        wait_for_the_end(job, ranks, 10)
        assert job.returncode == 128 + signal.SIGTERM
    done = run_job(3, *COMMAND, *words, "--steps", "900", where=tmp_path)
    assert done.returncode == 0, done.stderr
    assert digest(tmp_path / "an out") == digest(tmp_path / "alone")


def test_a_rank_that_hangs_ends_the_job(text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, *SIZES, "--executor", "mpi", "--steps", "1000000", "--watchdog", "1"]
    with start_job(3, *COMMAND, *words, "--out", tmp_path / "out", "--checkpoint-every", "5", where=tmp_path) as job:
        ranks, states = ranks_of(job, 3), tmp_path / "out" / "checkpoints"
        wait_until(lambda: states.exists() and any(states.iterdir()))
        ranks[1].send_signal(signal.SIGSTOP)
        errors = wait_for_the_end(job, ranks, 10)
    said = [line for line in errors.splitlines() if line.startswith("recurrio: ")]
    assert len(said) == 1
    assert " has been at one item for 1." in said[0]
    assert said[0].endswith("; the model as it was before is in " + str(tmp_path / "out/model.safetensors"))
    assert job.returncode == 1
