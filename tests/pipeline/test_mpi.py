"""The executor "mpi": the bits of the serial loop, whoever computes where; and what it says where it cannot.

A job is started for each test, few of them, each of which goes through many cases. With RECURRIO_MPI set they are all.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.mpi import COMMAND, MPIEXEC, needs_mpi, run_job

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.base.arena import Arena
from recurrio.core.base.ranks import Rank
from recurrio.core.model.run_memory import RunMemory
from recurrio.pipeline import Trainer
from recurrio.pipeline.command.options import parse
from recurrio.pipeline.executors import EXECUTORS, mpi_job
from recurrio.pipeline.executors.chooser import TRIED
from recurrio.pipeline.executors.mpi_states import ShardStates
from recurrio.pipeline.launch import asks_for_mpi

ALL = bool(os.environ.get("RECURRIO_MPI"))
ROOT = Path(__file__).parent.parent.parent
SUITES = [f"tests/pipeline/test_{name}.py" for name in ("executor_contract", "training_state")]
SOME = [
    "tests/pipeline/test_guard.py::test_the_pipeline_is_the_serial_loop[mpi-2-a few]",
    "tests/pipeline/test_records.py::test_the_pipeline_is_the_serial_loop[3-2-mpi]",
    "tests/pipeline/test_resume.py::test_records_go_on[2-2-mpi]",
]
WHOLE = [f"tests/pipeline/test_{name}.py" for name in ("guard", "ragged", "records", "resume", "sizes")]
WHOLE += ["tests/pipeline/test_trainer_interface.py"]


def bits(ranks: int, every: int, *words: object) -> dict[str, Any]:
    done = run_job(ranks, "-m", "support.mpi_bits", every, *words, where=ROOT)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(done.stdout)
    return found


@needs_mpi
def test_the_bits_are_those_of_the_serial_loop_and_the_suites_of_executors_hold() -> None:
    """Of one, two and four shards; an MPI sum in any order has other bits, and the cases are not all the same run."""
    words = ["-q", "-k", "mpi", "-p", "no:cacheprovider", "-p", "no:xdist", *SUITES, *(WHOLE if ALL else SOME)]
    found = bits(5, 1 if ALL else 17, *words)
    assert found["cases"] >= 20
    assert found["wrong"] == []
    assert found["pytest"] == 0
    assert not found["all the same"]
    assert found["differ by reduction"] > 1000


@needs_mpi
@pytest.mark.skipif(not ALL, reason="RECURRIO_MPI is not set")
@pytest.mark.parametrize("ranks", [2, 3])
def test_so_they_are_with_just_ranks_enough(ranks: int) -> None:
    found = bits(ranks, 1)
    assert found["cases"] >= 60
    assert found["wrong"] == []


def test_auto_never_chooses_it() -> None:
    assert "mpi" in EXECUTORS
    assert "mpi" not in TRIED


@pytest.mark.parametrize(
    ("there_is", "said"),
    [
        (None, r"it takes mpi4py: pip install 'recurrio\[mpi\]' mpich; then mpiexec -n 3 recurrio train"),
        (object(), "start it by mpiexec -n 3 recurrio train … --executor mpi; use 'auto'"),
    ],
)
def test_without_mpiexec_it_says_what_to_do(there_is: object, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(mpi_job, "find_spec", lambda name: there_is)
    with pytest.raises(ValueError, match=said):
        Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), shards=2, executor="mpi")


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["train", "x", "--executor", "mpi"], True),
        (["train", "x", "--executor=mpi", "--shards", "2"], True),
        (["train", "x", "--exec", "mpi"], True),
        (["train", "x", "--executor", "auto", "--out", "mpi"], False),
        (["train", "mpi", "--executor"], False),
        (["train", "x"], False),
    ],
)
def test_ranks_become_workers_by_the_words_alone(words: list[str], asked: bool) -> None:
    assert asks_for_mpi(words) is asked
    if asked:
        assert parse(words).executor == "mpi"


def test_a_file_of_options_cannot_ask_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other ranks would have to read it, which may be on another host."""
    path = tmp_path / "a file.toml"
    path.write_text('executor = "mpi"\nshards = 2\n')
    with pytest.raises(SystemExit):
        parse(["train", "x", "--config", str(path)])
    assert "executor: expected mpi on the command line, where all ranks look for it" in capsys.readouterr().err
    assert parse(["train", "x", "--config", str(path), "--executor", "mpi"]).shards == 2


@needs_mpi
def test_without_an_mpi_library_rank_0_says_so_and_no_rank_waits(text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, "--executor", "mpi", "--out", tmp_path / "out"]
    done = run_job(2, *COMMAND, *words, where=tmp_path, environment={"MPI4PY_LIBMPI": "/not/there"})
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("recurrio")]
    assert len(said) == 1
    assert "it takes an MPI library that mpi4py finds, as pip install mpich brings one" in said[0]


@needs_mpi
def test_the_job_ends_with_one_line_and_the_exit_code_of_rank_0(text_file: Path, tmp_path: Path) -> None:
    """Also where rank 0 has not come so far as to begin MPI, which the other waits for."""
    command = [MPIEXEC, "-n", "2", str(Path(MPIEXEC).parent / "recurrio"), "train", str(text_file)]
    done = subprocess.run(
        [*command, "--executor", "mpi", "--nonsense"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "recurrio: unrecognized arguments: --nonsense (see recurrio --help)\n"
    assert done.stdout == ""


def test_a_rank_that_has_not_become_a_worker_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpi_job, "launched_rank", lambda: 1)
    monkeypatch.setattr(mpi_job, "world", lambda: None)
    with pytest.raises(
        ValueError, match=r"this is rank 1 of the job, .* call recurrio\..*\.serve_if_worker\(\) before"
    ):
        Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), shards=2, executor="mpi")


def test_what_batches_in_flight_have_left_in_the_table_of_keys_can_be_taken_back() -> None:
    """The trainer logs what comes back, as a forward pass logs it at the place."""
    model, rng, rows = SequenceModel(9, hidden_size=4), np.random.default_rng(0), np.array([1, 5, 3])
    counts = {"ranks": 1, "rows": 3, "workspaces": 2, "keys": 8}
    trainer, worker = (RunMemory(model, [3, 3], **counts, arena=Arena()) for _ in range(2))
    assert trainer.keys is not None
    assert worker.keys is not None
    passes, tables = worker.keys.of_rank(1, Rank()), []
    for number in range(3):
        batch = SequenceBatch(np.zeros((2, 3), int), np.zeros((2, 3), int), rows=rows)
        for array in itertools.chain(*passes.gather(number, rows)):
            array[...] = rng.standard_normal(array.shape)
        passes.scatter(number)
        ShardStates(trainer, 1).put_after(number, batch, ShardStates(worker, 1).after(number, batch))
        tables.append(trainer.keys.tables[0].copy())
        assert np.array_equal(tables[-1], worker.keys.tables[0])
    trainer.keys.undo(1)
    assert np.array_equal(trainer.keys.tables[0], tables[0])
    assert not np.array_equal(tables[0], tables[2])
