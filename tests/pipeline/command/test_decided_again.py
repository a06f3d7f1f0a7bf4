"""What the clock decided of a run is decided again by one that goes on from an old checkpoint of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.in_process import run_here
from support.states import differing
from support.streams import as_jsonl, make_data

from recurrio.pipeline.checkpoint import CheckpointStore
from recurrio.pipeline.lanes import merged
from recurrio.pipeline.sources import file
from recurrio.pipeline.sources.journal import Journal

WORDS: list[object] = ["--features", "x", "--hidden", 5, "--batch-size", 6, "--seq-len", 4, "--executor", "inline"]
WORDS += ["--predictions", "predictions", "--checkpoint-every", 50, "--keep", 1000, "--max-keys", 50]
RUNS: dict[str, list[object]] = {
    "turns": ["a.jsonl", "b.jsonl", "--key", "k", "--target", "x@+1"],
    "three sources": ["a.jsonl", "b.jsonl", "c.jsonl", "--key", "k", "--target", "x@+1"],
    "cuts": ["long.jsonl", "--key", "k", "--target", "x@+1", "--linger", "1ms"],
    "cuts and turns": ["a.jsonl", "b.jsonl", "--key", "k", "--target", "x@+1", "--linger", "1ms"],
    "drops": ["a.jsonl", "b.jsonl", "--key", "k", "--target", "x@+1", "--when-behind", "drop-oldest"],
    "samples": ["long.jsonl", "a.jsonl", "--key", "k", "--target", "x@+1", "--when-behind", "sample"],
    "labels": ["a.jsonl", "--key", "k", "--target", "y", "--label-from", "late.jsonl", "--label-wait", "10ms"],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    for seed, name in enumerate("abc"):
        records = [{**record, "id": f"{name}{at}"} for at, record in enumerate(make_data(6_000, 40, seed=seed))]
        if name == "a":
            late = [{"id": record["id"], "y": record["y"]} for record in records]
            (folder / "late.jsonl").write_bytes(as_jsonl(late))
            records = [{key: record[key] for key in ("k", "x", "id")} for record in records]
        (folder / f"{name}.jsonl").write_bytes(as_jsonl(records))
    (folder / "long.jsonl").write_bytes(as_jsonl(make_data(60_000, 40, seed=7)))  # some blocks
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for path in files.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def left() -> tuple[bytes, Any]:
    newest = CheckpointStore("run/checkpoints").newest()
    assert newest is not None
    return Path("predictions").read_bytes(), newest.part


def decisions() -> list[tuple[int, int, int]]:
    return [tuple(msgspec.msgpack.decode(data)) for _, data in Journal("run/journal/decisions").read(0)]


def until(predictions: bytes, record: int) -> list[bytes]:
    return [line for line in predictions.splitlines() if msgspec.json.decode(line)["record"] < record]


@pytest.mark.parametrize("name", RUNS)
def test_it_is_decided_again(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["train", *RUNS[name], *WORDS, "--out", "run", "--json"]
    if name in {"drops", "samples"}:
        monkeypatch.setattr(merged, "MOST", 700)
        monkeypatch.setattr(file, "CHUNK", 20_000)
    done = run_here(*words)
    assert done.code == 0, done.errors
    predictions, expected = left()
    dropped = done.report["dropped"]
    assert (dropped > 500) == (name in {"drops", "samples"})
    store = CheckpointStore("run/checkpoints")
    decided, steps = decisions(), store.steps()
    assert decided
    last = decided[-1][0]  # behind that the clock may decide otherwise
    for step in (steps[len(steps) // 3], steps[0]):
        store.forget(after=step)
        done = run_here(*words, "--resume")
        assert done.code == 0, done.errors
        found, state = left()
        assert decisions()[: len(decided)] == decided
        assert until(found, last) == until(predictions, last)
        if len(decisions()) == len(decided):
            assert found == predictions
            assert not done.output or done.report["dropped"] == dropped  # nothing is said where nothing was left
            assert differing(state, expected, live=True) == []
