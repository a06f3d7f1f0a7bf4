"""`verify`, `replay` and `inspect`: a run can be checked, and each of its batches looked at again."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.in_process import Done, parsed, run_here
from support.streams import as_jsonl, make_data

from recurrio.core.base.state import Part
from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.checkpoint.file import read_checkpoint, write_checkpoint

SIZES = ["--hidden", 5, "--batch-size", 6, "--seq-len", 4, "--executor", "inline"]
KEYED = ["--key", "k", "--features", "x,c:category", "--target", "x@+1", "--max-keys", 7]
RUNS: dict[str, list[object]] = {
    "records": ["records.jsonl", *KEYED],
    "records with a delay": ["records.jsonl", *KEYED, "--delay", 2, "--shards", 2],
    "text": ["text", "--embedding", 4, "--steps", 90],
    "text with a delay": ["text", "--embedding", 4, "--steps", 90, "--delay", 1, "--vocabulary", "bytes"],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.jsonl").write_bytes(as_jsonl(make_data(2500, 12, broken=20)))
    (tmp_path / "text").write_text("to be or not to be, that is the question. " * 60, encoding="utf-8")
    return tmp_path


def train(name: str, *more: object) -> Done:
    source, *words = RUNS[name]
    done = run_here("train", source, *SIZES, *words, "--out", "run", "--reports", "reports", "--report-every", 1, *more)
    assert done.code == 0, done.errors
    return done


@pytest.mark.parametrize("name", RUNS)
def test_each_batch_is_what_it_was(name: str, folder: Path) -> None:
    train(name, "--checkpoint-every", 11, "--keep", 12)
    done = run_here("verify", "run")
    assert done.code == 0
    steps = CheckpointStore("run/checkpoints").steps()  # fewer where one was due while another was still written
    assert done.output.splitlines() == [
        f"steps {before + 1} to {after}: largest difference 0" for before, after in pairwise(steps)
    ]
    reports: dict[int, Any] = {report["step"]: report for report in parsed(folder / "reports")}
    first, last = steps[0] + 1, max(reports)
    assert steps[-1] == last
    for step in random.Random(name).sample(range(first, last + 1), 50):
        again = json.loads(run_here("replay", "run", "--step", step).output)
        assert [again[part] for part in ("step", "version", "loss", "grad_norm")] == [
            reports[step][part] for part in ("step", "version", "loss", "grad_norm")
        ]
        assert again["lanes"]


@pytest.mark.parametrize(("step", "expected"), [(1, "expected 57 or later"), (10_000, "expected 57 to ")])
def test_what_is_out_of_reach_is_named(step: int, expected: str, folder: Path) -> None:
    train("records", "--checkpoint-every", 8, "--keep", 3)
    oldest = CheckpointStore("run/checkpoints").steps()[0] + 1
    done = run_here("replay", "run", "--step", step)
    assert done.code == 1
    assert expected.replace("57", str(oldest)) in done.errors


def change(path: Path, name: str) -> None:
    part = read_checkpoint(path)
    array = part.arrays[name].copy()
    array.reshape(-1)[0] += 1
    write_checkpoint(path, Part({**part.arrays, name: array}, part.about))


@pytest.mark.parametrize("name", ["training.versions", "training.updater.optimizer.m", "training.keys.0"])
def test_a_difference_is_found(name: str, folder: Path) -> None:
    train("records", "--checkpoint-every", 30, "--keep", 2)
    store = CheckpointStore("run/checkpoints")
    path = store.path(store.steps()[-1])
    names = [each for each in read_checkpoint(path).arrays if each.startswith(name)]
    change(path, names[0])
    done = run_here("verify", "run")
    assert done.code == 1
    assert f"in {names[0].removeprefix('training.')}" in done.output


def test_inspect_says_what_is_whole(folder: Path) -> None:
    train("records", "--checkpoint-every", 30, "--keep", 2)
    done = run_here("inspect", "run")
    assert done.code == 0
    store = CheckpointStore("run/checkpoints")
    assert done.output.count("whole, ") == len(store.steps())
    path = store.path(store.steps()[0])
    path.write_bytes(path.read_bytes()[:-1])
    done = run_here("inspect", "run")
    assert done.code == 1
    assert f"DAMAGED: {path}: " in done.output


def test_a_folder_without_checkpoints(folder: Path) -> None:
    for words in (["verify", "nowhere"], ["replay", "nowhere", "--step", 3]):
        assert run_here(*words).code == 1
