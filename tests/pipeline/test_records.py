"""Training on records: the serial loop's bits, whatever the cuts, the format, the executor and the timing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from support.streams import (
    Result,
    as_csv,
    as_jsonl,
    bits,
    counts_of,
    cut,
    items,
    make_data,
    open_bytes,
    table_of,
    train,
    train_serially,
)

from recurrio.core import Adam, SequenceBatch
from recurrio.core.online import RecordModel
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Loaded, Receiver, Records, Report, Sender, Trainer
from recurrio.pipeline.executors import EXECUTORS

DATA = make_data(400, 12, broken=7)


@cache
def serial(shards: int = 1, delay: int = 0, cell: str = "lstm", **options: object) -> Result:
    return train_serially(open_bytes([as_jsonl(DATA)], **options), shards=shards, delay=delay, cell=cell)


def check_same(found: Result, expected: Result) -> None:
    for mine, other in zip(found, expected, strict=True):
        assert mine == other


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("shards", [1, 3])
async def test_the_pipeline_is_the_serial_loop(shards: int, delay: int, executor: str) -> None:
    records = open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 500)))
    check_same(await train(records, shards=shards, delay=delay, executor=executor), serial(shards, delay))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("shards", [1, 3])
async def test_so_it_is_where_the_past_is_learned_from_again(shards: int, executor: str) -> None:
    options: dict[str, Any] = {"replay": 4, "seed": 5, "stride": 2}
    records = open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 500)), **options)
    found = await train(records, shards=shards, delay=2, executor=executor)
    check_same(found, serial(shards, 2, **options))
    without = serial(shards, 2, stride=2)
    assert found.state not in (without.state, serial(shards, 2, **options | {"seed": 6}).state)
    scores = ("metrics", "worst")
    assert {**found.counts, **dict.fromkeys(scores)} == {**without.counts, **dict.fromkeys(scores)}


@pytest.mark.parametrize("cell", ["rnn", "gru"])
async def test_so_it_is_with_every_cell(cell: str) -> None:
    check_same(await train(open_bytes([as_jsonl(DATA)]), cell=cell), serial(cell=cell))


@settings(max_examples=25, deadline=None)
@given(
    places=st.lists(st.integers(0, 30_000), max_size=30),
    delay=st.integers(0, 2),
    pause=st.sampled_from([0.0, 0.1]),
)
def test_cuts_and_pauses_change_nothing(places: list[int], delay: int, pause: float) -> None:
    records = open_bytes(cut(as_jsonl(DATA), places), pause=pause)
    clock = trio.testing.MockClock(autojump_threshold=0)
    check_same(trio.run(lambda: train(records, delay=delay), clock=clock), serial(delay=delay))


async def test_csv_is_json() -> None:
    found, expected = await train(open_bytes(cut(as_csv(DATA), range(0, 9000, 77)), "csv")), serial()
    reasons = [reject[1] for reject in found.rejects]
    assert reasons == [reject[1] for reject in expected.rejects]
    assert len(reasons) == 7
    assert found._replace(rejects=[]) == expected._replace(rejects=[])


async def test_so_are_the_dicts_of_a_program() -> None:
    options = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6}
    records = Records(DATA, **options, max_keys=64, max_categories=3)
    found = await train(records)
    assert found._replace(rejects=[]) == serial()._replace(rejects=[])


@pytest.mark.parametrize(
    "options",
    [
        {"target": "y@+2,x@+1", "features": "x,y"},
        {"label": "c", "target": (), "features": "x,y", "max_classes": 4},
        {"target": "y", "features": "x"},
        {"per_key": True},
        {"forecasts": False},
        {"key": None, "max_keys": 1},
        {"max_keys": 8},
        {"replay": 3},
        {"season": 3},
        {"season": 5, "target": "y,x@+2", "features": "x", "interval": 0.8},
        {"interval": 0.8},
        {"interval": 0.8, "target": "y", "features": "x"},
        {"interval": 0.8, "alarm": 0.95, "per_key": True, "target": "y@+2,x@+1", "features": "x,y", "max_keys": 8},
        {"replay": 1, "key": None, "max_keys": 1, "seq_len": None},
    ],
    ids=lambda options: ", ".join(options),
)
async def test_so_it_is_with_every_kind_of_target(options: dict[str, Any]) -> None:
    expected = train_serially(open_bytes([as_jsonl(DATA)], **options), delay=1)
    check_same(await train(open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 333)), **options), delay=1), expected)
    counts = expected.counts
    assert counts["records"] == 400
    assert counts["waiting"] == 0
    parts = ("applied", "unlabelled", "dropped", "rejected")
    assert sum(counts[part] for part in parts) == 400
    assert counts["rejected"] == (7 if "y" in options.get("features", "x,y") + str(options.get("target")) else 0)


async def test_a_run_goes_on_where_another_has_ended() -> None:
    records = open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 500)))
    said: list[Any] = []
    model = records.model(hidden_size=5, seed=1)
    trainer = Trainer(model, Adam(0.01), clip=1.0, executor="inline", seed=3)
    for steps in (3, 1, 5, None):
        await trainer.run(records, steps=steps)
        said.append(trainer.step)
    assert said[:3] == [3, 4, 9]
    assert bits(trainer.state) == serial().state
    assert counts_of(records) == serial().counts


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("stop", [1, 2, 5])
async def test_what_is_not_applied_is_undone(stop: int, delay: int, executor: str) -> None:
    """Cancelled at some moment, the states of the keys are those after the last batch applied."""
    records = open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 500)))
    trainer = Trainer(
        records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor=executor, delay=delay, seed=3
    )
    with trio.CancelScope() as scope:
        await trainer.run(records, on_report=lambda report: scope.cancel() if report.step == stop else None)
    assert trainer.step >= stop
    assert bits(trainer.state) == _state_after(trainer.step, delay)
    counts = records.report()
    assert (
        sum(counts[part] for part in ("applied", "unlabelled", "dropped", "rejected", "waiting")) == counts["records"]
    )


def _state_after(steps: int, delay: int) -> dict[str, bytes]:
    records = open_bytes([as_jsonl(DATA)])
    model = records.model(hidden_size=5, seed=1)
    records.begin(model, 1)
    state = TrainingState(model, Updater(Adam(0.01), 1.0), delay=delay, seed=3)
    batches = [item for item in items(records) if isinstance(item, SequenceBatch)][:steps]
    for _ in run(state, batches, largest=records.largest, **table_of(records)):
        pass
    return bits(state)


async def test_forecasts_do_not_look_ahead() -> None:
    """A change of a record changes no forecast of one before it, nor its own key's version."""
    changed = [dict(record) for record in DATA]
    changed[200]["x"] = 1000.0
    found, expected = await train(open_bytes([as_jsonl(changed)])), serial()
    number = 200 - sum(1 for reject in expected.rejects if reject[0] <= 200)
    before = [line for line in expected.predictions if line[0] < number]
    assert [line for line in found.predictions if line[0] < number] == before
    assert found.predictions != expected.predictions


async def test_rejected_records_change_nothing() -> None:
    good = [record for record in DATA if record["y"] != "much"]
    found, expected = await train(open_bytes([as_jsonl(good)])), serial()
    assert (found.state, found.predictions) == (expected.state, expected.predictions)
    assert expected.counts["rejected"] == 7
    assert np.isfinite(np.frombuffer(found.state["versions"], np.float32)).all()


@pytest.mark.parametrize("delay", [0, 1])
async def test_the_watchdog_lets_a_slow_source_be(delay: int, autojump_clock: trio.testing.MockClock) -> None:
    """No stage hangs where all of them wait: all in one task, or each in its own."""
    records = open_bytes(cut(as_jsonl(DATA), range(0, 20_000, 3000)), pause=100.0)
    model = records.model(hidden_size=5, seed=1)
    trainer = Trainer(model, Adam(0.01), clip=1.0, executor="inline", delay=delay, seed=3, watchdog=30.0)
    await trainer.run(records)
    assert bits(trainer.state) == serial(delay=delay).state


async def test_stages_of_ones_own_see_the_batches_of_records() -> None:
    seen: list[int] = []

    async def stage(receive: Receiver[Loaded], send: Sender[Loaded]) -> None:
        async for message in receive:
            seen.append(message.batch_number)
            await send.send(message)

    records = open_bytes([as_jsonl(DATA)])
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline", seed=3)
    await trainer.run(records, between={"loaded": stage})
    assert bits(trainer.state) == serial().state
    assert seen == [*range(trainer.step)]


@pytest.mark.parametrize("every", [1, 10, 1000.0])
async def test_reports_come_as_often_as_they_are_wanted(every: float) -> None:
    records = open_bytes([as_jsonl(DATA)])
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")
    reports: list[Report] = []
    await trainer.run(records, on_report=reports.append, report_every=every)
    steps = [report.step for report in reports]
    last = trainer.step
    assert steps == [*range(every, last + 1, every), last] if isinstance(every, int) else [1, last]
    assert reports[-1].records == records.report()
    assert records.report()["waiting"] == 0


async def test_the_last_report_knows_of_what_was_dropped() -> None:
    records, reports = open_bytes([as_jsonl(DATA)]), list[Report]()
    model = records.model(hidden_size=5, seed=1)
    trainer = Trainer(model, Adam(0.01), executor="inline", delay=2)

    def stop_soon(report: Report) -> None:
        reports.append(report)
        if report.step == 5:
            trainer.stop(0)

    await trainer.run(records, on_report=stop_soon)
    assert reports[-1].records == records.report()
    assert records.report()["dropped"] > 0


@pytest.mark.parametrize("soon", [False, True])
@pytest.mark.parametrize("delay", [0, 2])
async def test_a_run_that_is_stopped_takes_no_further_block_where_one_is_always_there(delay: int, soon: bool) -> None:
    taken: list[int] = []

    async def endless() -> AsyncIterator[dict[str, Any]]:
        for number in range(10_000):
            taken.append(number)
            yield {"k": np.array(["a", "b", "c"] * 99, object), "x": np.arange(297.0)}
            await trio.lowlevel.checkpoint()

    records = Records(endless(), key="k", features="x", target="x@+1", seq_len=4, batch_size=3)
    records.soon = soon
    trainer, blocks = Trainer(records.model(hidden_size=3, seed=1), Adam(0.01), executor="inline", delay=delay), 0

    def stop_soon(report: Report) -> None:
        nonlocal blocks
        if soon:
            records.ask(lambda: None)
        if report.step == 5:
            trainer.stop(60)
            blocks = len(taken)

    with trio.fail_after(30):
        await trainer.run(records, on_report=stop_soon)
    assert len(taken) <= blocks + 1
    report = records.report()
    assert report["dropped"] == 0
    assert report["records"] == 297 * blocks  # all that had come


@pytest.mark.parametrize("options", [{}, {"label": "c", "target": (), "features": "x,y"}, {"per_key": True}], ids=str)
@pytest.mark.parametrize("steps", [7, None])
def test_the_file_of_a_model_depends_on_the_records_alone(
    steps: int | None, options: dict[str, Any], tmp_path: Path
) -> None:
    """Also where the run ended early, and more records had come than were trained on."""
    files = []
    for places in ([], range(0, 20_000, 777)):
        records = open_bytes(cut(as_jsonl(DATA), places), **options)
        trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
        trio.run(partial(trainer.run, records, steps=steps))
        records.trained(trainer.model).save(tmp_path / "model")
        files.append((tmp_path / "model").read_bytes())
    assert files[0] == files[1]
    loaded = RecordModel.load(tmp_path / "model")
    assert loaded.encoder.schema == records.plan.schema
    loaded.save(tmp_path / "again", {})
    assert (tmp_path / "again").read_bytes() == files[0]
