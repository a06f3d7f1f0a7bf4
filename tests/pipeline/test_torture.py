"""Killed at each I/O operation, and at any other time, a run of the command comes back as if nothing had happened.

`make torture` kills 10,000 times, and .ci/run at each operation; here it is at some.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

KILLS = int(os.environ.get("RECURRIO_KILLS", "0"))  # at random; 0: a few, and only some operations
SOME = 97  # operations, of which one is tried
TESTS = Path(__file__).parent.parent

SIZES = ["--batch-size", "6", "--seq-len", "4", "--hidden", "5", "--clip", "1"]
SAVED = ["--out", "run", "--resume", "--checkpoint-every", "3", "--report-every", "2", "--reports", "reports"]
RECORDS = ["--features", "x", "--target", "x@+1", "--predictions", "predictions", "--rejects", "rejects"]
KEYED = [*RECORDS, "--key", "k", "--max-keys", "7", "--replay", "2", "--interval", "0.9"]
KEYED += ["--alarm", "0.99", "--rotate", "3000"]
RIVAL = ["--challenger", "--lr 0.02 --hidden 4"]  # which makes runs longer
RARELY = ["--executor", "inline", "--checkpoint-every", "9"]  # of one stream: many steps
TEXT = ["--embedding", "4", "--steps", "24"]

EACH = ["a text file", "a record file", "a keyed stream", "labels that come later", "numbered lines"]
RUNS: dict[str, list[str]] = {
    "a text file": ["text", *TEXT, "--delay", "2", "--executor", "inline"],
    "a text file in processes": ["text", *TEXT, "--executor", "process", "--shards", "2", "--optimizer", "rmsprop"],
    "a record file": ["records.jsonl", *RECORDS, *RARELY, "--optimizer", "sgd", "--lr", "0.1"],
    "a keyed stream": ["records.jsonl", *KEYED, *RIVAL, "--executor", "inline"],
    "a keyed stream in threads": [
        *("records.jsonl", *KEYED, *RIVAL, "--executor", "thread", "--delay", "2", "--shards", "2")
    ],
    "a keyed stream in processes": ["records.jsonl", *KEYED, "--executor", "process", "--delay", "2", "--shards", "2"],
    "scales of each key": ["records.jsonl", *KEYED, "--per-key", "--executor", "auto", "--optimizer", "adagrad"],
    "numbered lines": ["unix:s", *KEYED, "--steps", "12", "--executor", "inline", "--delay", "1"],
    "labels that come later": ["late.jsonl", *KEYED[:-2], "--id", "id", "--target", "y", "--optimizer", "adamw"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is trained on."""
    folder, rng, level = tmp_path_factory.mktemp("torture"), random.Random(1), [0.0] * 9
    lines, late = [], []
    for number in range(150):
        key = rng.randrange(9)
        level[key] = 0.9 * level[key] + rng.gauss(0, 1)
        record = {"k": key, "x": round(level[key], 3)}
        lines.append(json.dumps(record) if number % 23 else "junk")
        late.append(json.dumps({**record, "id": number}))
        if number >= 30 and number % 5:
            late.append(json.dumps({"id": number - 30, "y": round(rng.gauss(0, 1), 3)}))
    (folder / "records.jsonl").write_text("\n".join([*lines, ""]))
    (folder / "late.jsonl").write_text("\n".join([*late, ""]))
    (folder / "text").write_text("to be or not to be, that is the question. " * 30)
    return folder


def torture(folder: Path, name: str, how: dict[str, Any], where: Path) -> dict[str, Any]:
    """What came of it; `how` says how to kill."""
    source, *words = RUNS[name]
    live = source == "unix:s"
    read = source if live else str(folder / source)
    job = {"folder": str(where), "words": ["train", read, *SIZES, *SAVED, *words], **how}
    if live:
        job["lines"] = str(folder / "records.jsonl")
    done = subprocess.run(
        [sys.executable, "-m", "support.torture", json.dumps(job)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    print(f"{name}: {found}")
    assert found["failures"] == []
    return found


@pytest.mark.parametrize("name", EACH if KILLS else EACH[::2])
def test_killed_at_each_operation(name: str, folder: Path, tmp_path: Path) -> None:
    found = torture(folder, name, {"points": 1 if KILLS else SOME}, tmp_path)
    assert found["points"] > 100
    step = 1 if KILLS else SOME
    assert found["killed"] + found["over"] == -(-found["points"] // step)  # each, or it was over before that
    assert found["killed"] >= found["points"] // (2 * step)


@pytest.mark.parametrize("name", list(RUNS) if KILLS else list(RUNS)[::2])
def test_killed_at_any_time(name: str, folder: Path, tmp_path: Path) -> None:
    times = -(-KILLS // len(RUNS)) if KILLS else 2
    assert torture(folder, name, {"random": times, "seed": KILLS}, tmp_path)["killed"] >= times


def test_the_comparison_would_notice(folder: Path, tmp_path: Path) -> None:
    """A run that forgets one thing at a resume does not end as the other does."""
    source, *words = RUNS["a keyed stream"]
    command = [sys.executable, "-c", "from recurrio.pipeline.command.cli import main; main()", "train"]
    command += [str(folder / source), *SIZES, *SAVED, *words]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for where, steps in ((whole, []), (parts, ["--steps", "9"])):
        where.mkdir()
        subprocess.run([*command, *steps], cwd=where, check=True, capture_output=True)
    with (parts / "predictions").open("ab") as file:
        file.write(b"{}\n" * 200)
    (parts / "run/checkpoints/step-000000009.safetensors").write_bytes(b"")  # an older one is whole
    subprocess.run(command, cwd=parts, check=True, capture_output=True)
    assert (whole / "predictions").read_bytes() == (parts / "predictions").read_bytes()
    (parts / "predictions").write_bytes(b"")
    shorter = subprocess.run([*command, "--steps", "1000"], cwd=parts, check=False, capture_output=True, text=True)
    assert shorter.returncode == 1
    assert "had" in shorter.stderr
