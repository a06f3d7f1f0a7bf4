"""A program asks a model of records for what comes next: as the command does, and from one call to the next."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.in_process import run_here

from recurrio.core.online.record_model import RecordModel
from recurrio.pipeline import Predictor, Records, fit

VALUES = np.round(20 + 5 * np.sin(np.arange(300) / 4) + np.random.default_rng(0).normal(0, 0.5, 300), 2)
ROWS = [{"x": float(value)} for value in VALUES]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    fit(Records(ROWS, features="x", target="x@+1", interval=0.9)).save(path)
    return path


def test_it_says_what_the_command_says(model: Path, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("".join([json.dumps(row) + "\n" for row in ROWS]))
    lines = [json.loads(line) for line in run_here("predict", model, tmp_path / "x.jsonl").output.splitlines()]
    said = Predictor(RecordModel.load(model)).predict(ROWS)
    assert [line["prediction"] for line in lines] == [one.prediction for one in said]
    assert [line.get("upper") for line in lines] == [one.upper for one in said]
    assert said[-1].lower < said[-1].prediction < said[-1].upper


def test_it_goes_on_where_it_ended(model: Path) -> None:
    whole = Predictor(RecordModel.load(model)).predict(ROWS)
    predictor = Predictor(RecordModel.load(model))
    parts = [*predictor.predict(ROWS[:100]), *predictor.predict([]), *predictor.predict(ROWS[100:])]
    assert [(one.prediction, one.lower) for one in parts] == [(one.prediction, one.lower) for one in whole]


def test_what_cannot_be_used_has_a_reason_where_it_stands(model: Path) -> None:
    said = Predictor(RecordModel.load(model)).predict([ROWS[0], {"x": "warm"}, ROWS[1]])
    without = Predictor(RecordModel.load(model)).predict(ROWS[:2])
    assert said[1].prediction is None
    assert said[1].reason is not None
    assert said[1].reason.startswith('x: expected a number, got "warm"')
    assert [said[0].prediction, said[2].prediction] == [one.prediction for one in without]
