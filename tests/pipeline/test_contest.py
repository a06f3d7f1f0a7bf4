"""Challengers: each has the bits of its lone run, the better one leads, and that is the same in every run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.in_process import run_here
from support.streams import as_jsonl, bits, cut, make_data, note_forecasts, open_bytes

from recurrio.core import SGD, Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.core.online.record_model import RecordModel
from recurrio.pipeline import Challenge, Records, Trainer
from recurrio.pipeline.lanes.contest import Contest
from recurrio.pipeline.lanes.decisions import LEAD

GIVEN: dict[str, Any] = {"key": "k", "features": "x,c:category", "target": "x@+2", "seq_len": 4, "batch_size": 6}
DATA = make_data(500, 6, broken=11)


def swinging(count: int) -> list[dict[str, Any]]:
    """Each value is away from 0 on the other side than the one two before; the one before says nothing of it."""
    rng, last, before, rows = np.random.default_rng(3), 0.0, 0.0, []
    for _ in range(count):
        last, before = -0.9 * before + float(rng.standard_normal()), last
        rows.append({"x": round(last, 4)})
    return rows


def contest_of(records: Records) -> Contest:
    contest = records._contest
    assert contest is not None
    return contest


async def run(records: Records, lr: float = 0.01, **running: Any) -> tuple[Trainer, list[tuple[Any, ...]]]:  # noqa: ANN401
    said: list[tuple[Any, ...]] = []
    records.on_forecasts = note_forecasts(said)
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(lr), clip=1.0, executor="inline", **running)
    await trainer.run(records)
    return trainer, said


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize(
    "given", [{}, {"replay": 2}, {"interval": 0.8}, {"drift": "page-hinkley", "on_drift": "restart-head"}], ids=str
)
async def test_each_has_the_bits_of_its_lone_run(given: dict[str, Any], delay: int, shards: int) -> None:
    options = {"hidden_size": 7, "seed": 4, "cell": "gru"}
    challenge = Challenge("other", options, partial(Adam, 0.02), clip=0.5, guard=lambda: None, delay=delay)
    both = open_bytes([as_jsonl(DATA)], **GIVEN | given, challengers=[challenge])
    trainer, _ = await run(both, delay=delay, shards=shards)
    champion = open_bytes([as_jsonl(DATA)], **GIVEN | given)
    assert bits((await run(champion, delay=delay, shards=shards))[0].state) == bits(trainer.state)

    lone = open_bytes([as_jsonl(DATA)], **GIVEN | given)
    settings: dict[str, Any] = {"clip": 0.5, "executor": "inline", "delay": delay, "shards": shards}
    alone = Trainer(lone.model(**options), Adam(0.02), **settings)
    await alone.run(lone)
    (challenger,) = contest_of(both).challengers
    assert bits(challenger.state) == bits(alone.state)
    assert challenger.maker.report() == {name: lone.report()[name] for name in challenger.maker.report()}


async def test_a_better_one_leads_from_a_record_on_that_is_noted() -> None:
    rows = swinging(1500)
    named = {"features": "x", "target": "x@+1"}
    challenge = Challenge("better", {"hidden_size": 8, "seed": 1}, partial(Adam, 0.01))
    records = Records(rows, **named, challengers=[challenge])
    warned: list[str] = []
    records.on_warning = warned.append
    trainer, said = await run(records, lr=1e-6)
    (lead,) = [decision for decision in records.log.kept if decision.kind == LEAD]
    assert lead.before == 1
    assert 40 < lead.number < 600
    assert warned == [f"record {lead.number:,}: better forecasts better, and leads from here on"]
    report = records.report()
    assert report["leader"] == "better"
    assert report["metrics"]["all"]["mae"] < 0.9 * report["contest"][0]["metrics"]["mae"]
    json.dumps(report, allow_nan=False)

    _, first = await run(Records(rows, **named), lr=1e-6)
    lone, second = Records(rows, **named), list[tuple[Any, ...]]()
    lone.on_forecasts = note_forecasts(second)
    alone = Trainer(lone.model(hidden_size=8, seed=1), Adam(0.01), clip=1.0, executor="inline")
    await alone.run(lone)
    assert said == first[: lead.number] + second[lead.number :]
    trained = records.trained(trainer.model)
    assert np.array_equal(trained.model.parameters, alone.model.parameters)


async def test_an_equal_one_does_not_lead() -> None:
    for seed in range(10):
        challenge = Challenge("equal", {"hidden_size": 5, "seed": seed + 2}, partial(Adam, 0.01))
        records = Records(swinging(400), features="x", target="x@+1", challengers=[challenge])
        await run(records)
        assert records.report()["leader"] == "champion", seed


async def test_who_leads_does_not_depend_on_how_records_are_cut() -> None:
    challenge = Challenge("better", {"hidden_size": 8, "seed": 1}, partial(Adam, 0.01))
    found = []
    for places in ([], range(0, 20_000, 77), range(0, 20_000, 1000)):
        pieces = cut(as_jsonl(swinging(700)), places)
        given: dict[str, Any] = {"key": None, "max_keys": 1, "interval": 0.9, "challengers": [challenge]}
        records = open_bytes(pieces, features="x", target="x@+1", **given)
        _, said = await run(records, lr=1e-6)
        found.append((said, records.log.kept, {**records.report(), "sources": None}))
    assert found[0] == found[1] == found[2]
    assert found[0][2]["leader"] == "better"


async def test_one_that_fails_ends_and_the_others_go_on() -> None:
    challenge = Challenge("mad", {"hidden_size": 4, "seed": 1}, partial(SGD, 1e30), clip=None, guard=lambda: None)
    records = Records(swinging(300), features="x", target="x@+1", challengers=[challenge])
    trainer, said = await run(records)
    assert trainer.step > 250
    assert len(said) == 300
    assert records.report()["leader"] == "champion"
    assert "smaller learning rate" in records.report()["contest"][1]["failed"]


async def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ArgumentError, match="challengers: expected none where there are no forecasts"):
        Records([], features="x", target="x@+1", forecasts=False, challengers=[Challenge("a")])


def test_the_command_writes_the_model_of_the_leader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_bytes(as_jsonl(swinging(900)))
    words = ["train", "x.jsonl", "--features", "x", "--target", "x@+1", "--lr", "1e-6", "--predictions", "said"]
    done = run_here(*words, "--challenger", "--lr 0.01 --hidden 8", "--checkpoint-every", 300)
    assert "--lr 0.01 --hidden 8 forecasts better, and leads from here on" in done.errors
    assert RecordModel.load("run/model.safetensors").model.network.stack.sizes[0].hidden_size == 8
    assert len(Path("said").read_text().splitlines()) == 900
    assert run_here("verify", "run").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected options, as"),
        ("--lr", "expected one argument"),
        ("--lr -1", "above 0"),
        ("--batch-size 3", "unrecognized"),
        ("--lr '0.1", "quot"),
    ],
)
def test_options_that_are_none_are_named(text: str, message: str) -> None:
    done = run_here("train", "x", "--features", "x", "--target", "x@+1", "--challenger", text)
    assert done.code == 2
    assert "--challenger: " in done.errors
    assert message in done.errors


@pytest.mark.parametrize("challengers", [[], [Challenge("other", {"hidden_size": 5}, partial(Adam, 0.01))]], ids=len)
async def test_who_listens_when_a_run_has_begun_hears_of_all_that_comes(challengers: list[Challenge]) -> None:
    records, said = open_bytes([as_jsonl(DATA)], **GIVEN, challengers=challengers), list[tuple[Any, ...]]()
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")
    await trainer.run(records, steps=5)
    records.on_forecasts = note_forecasts(said)
    await trainer.run(records, steps=5)
    assert len(said) > 5
    records.on_forecasts = None
    count = len(said)
    await trainer.run(records)
    assert len(said) == count
