"""Killed at any time, a run that reads of a broker, or writes to it, comes back as if nothing had happened."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.brokers import BROKERS, Broker, running

KILLS = int(os.environ.get("RECURRIO_KILLS", "0"))  # of each; 0: a few
TESTS = Path(__file__).parent.parent
SIZES = ["--batch-size", "6", "--seq-len", "4", "--hidden", "5", "--executor", "inline", "--delay", "1"]
SAVED = ["--out", "run", "--resume", "--checkpoint-every", "3", "--report-every", "2", "--reports", "reports"]
RECORDS = ["--features", "x", "--target", "x@+1", "--key", "k", "--max-keys", "7", "--interval", "0.9"]


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(request.param, tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is trained on."""
    path, rng, level = tmp_path_factory.mktemp("records") / "records.jsonl", random.Random(1), [0.0] * 9
    with path.open("w") as file:
        for number in range(400):
            key = rng.randrange(9)
            level[key] = 0.9 * level[key] + rng.gauss(0, 1)
            file.write(json.dumps({"k": key, "x": round(level[key], 3)}) + "\n" if number % 23 else "junk\n")
    return path


def torture(broker: Broker, folder: Path, words: list[str], **job: Any) -> None:  # noqa: ANN401 (JSON)
    about = {"broker": broker.program, "port": broker.port, "folder": str(folder), "seed": KILLS, "times": KILLS or 3}
    about["words"] = ["train", *words, *SIZES, *SAVED, *RECORDS]
    done = subprocess.run(
        [sys.executable, "-m", "support.broker_torture", json.dumps(about | job)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    print(f"{broker.program}: {found}")
    assert found["failures"] == []
    assert found["killed"] >= about["times"]


def test_as_a_source(broker: Broker, records: Path, tmp_path: Path) -> None:
    outputs = ["--predictions", "predictions", "--rejects", "rejects", "--steps", "30"]
    torture(broker, tmp_path, [broker.address("in"), *outputs], lines=str(records))


def test_as_a_sink(broker: Broker, records: Path, tmp_path: Path) -> None:
    torture(broker, tmp_path, [str(records), "--predictions", broker.address("out-{run}")], out=True)
