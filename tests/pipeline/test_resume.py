"""A run that goes on from a checkpoint is the run that was never interrupted, to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.states import differing
from support.streams import as_jsonl, make_data, note_forecasts

from recurrio.core import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop, SequenceBatch, SequenceModel
from recurrio.core.base.state import Part
from recurrio.pipeline import Challenge, Records, Report, Trainer, open_records, open_source
from recurrio.pipeline.checkpoint import Checkpoints, CheckpointStore
from recurrio.pipeline.executors import EXECUTORS

DATA = make_data(1500, 12, broken=30)
GIVEN: dict[str, Any] = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6}
GIVEN |= {"max_keys": 9, "max_categories": 3, "patience": 700}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "records.jsonl"
    path.write_bytes(as_jsonl(DATA))
    return path


class Told:
    """What a run has said."""

    def __init__(self) -> None:
        self.forecasts: list[tuple[Any, ...]] = []
        self.rejects: list[tuple[Any, ...]] = []

    def listen(self, records: Records) -> None:
        records.on_forecasts = note_forecasts(self.forecasts)
        records.on_reject = lambda reject: self.rejects.append((reject.line, reject.reason, reject.data))

    def position(self) -> list[int]:
        return [len(self.forecasts), len(self.rejects)]

    def sync(self) -> None:
        pass

    def cut(self, position: list[int]) -> None:
        del self.forecasts[position[0] :], self.rejects[position[1] :]


async def train(
    path: Path,
    folder: Path,
    told: Told,
    steps: int | None = None,
    *,
    every: float | None = 10,
    optimizer: type[Optimizer] = Adam,
    options: dict[str, Any] | None = None,
    **running: Any,  # noqa: ANN401 (of Trainer)
) -> Part:
    """Train on the records at `path`, on from the newest checkpoint in `folder`, up to `steps` in all."""
    async with open_records(path, **{**GIVEN, **(options or {})}) as records:
        told.listen(records)
        running = {"executor": "inline", "seed": 3, "clip": 1.0, **running}
        model = records.model(hidden_size=5, seed=1, dropout=running.pop("dropout", 0), num_layers=2)
        trainer = Trainer(model, optimizer(0.01), **running)
        checkpoints = Checkpoints(folder, every=every, keep=3)
        checkpoints.outputs["told"] = told
        found = trainer.resume(checkpoints, records)
        if found is not None:
            told.cut(found.part.about["outputs"]["told"])
        with trio.fail_after(60):
            await trainer.run(records, steps=None if steps is None else steps - trainer.step, checkpoints=checkpoints)
    return newest(folder)


def newest(folder: Path) -> Part:
    found = CheckpointStore(folder).newest()
    assert found is not None
    return found.part


async def check(path: Path, folder: Path, stops: list[int], every: float | None = 10, **options: Any) -> None:  # noqa: ANN401
    """Runs that stop after so many steps, each going on from the one before, are one run."""
    told, whole = Told(), Told()
    expected = await train(path, folder / "whole", whole, every=every, **options)
    for steps in [*stops, None]:
        found = await train(path, folder / "parts", told, steps, every=every, **options)
    assert differing(found, expected) == []
    assert told.forecasts == whole.forecasts
    assert told.rejects == whole.rejects
    assert len(whole.rejects) == 30


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("shards", [1, 2])
async def test_records_go_on(data: Path, tmp_path: Path, shards: int, delay: int, executor: str) -> None:
    await check(data, tmp_path, [1, 33, 34], shards=shards, delay=delay, executor=executor, dropout=0.2)


@pytest.mark.parametrize("optimizer", [SGD, Adagrad, Adam, AdamW, RMSprop])
async def test_with_every_optimizer(data: Path, tmp_path: Path, optimizer: type[Optimizer]) -> None:
    await check(data, tmp_path, [17, 40], optimizer=optimizer, delay=1)


OPTIONS: dict[str, dict[str, Any]] = {
    "a label": {"label": "c", "target": (), "features": "x,y"},
    "scales of each key": {"per_key": True},
    "the past again": {"replay": 3},
    "bounds": {"interval": 0.8, "alarm": 0.9, "target": "x@+3,x@+1"},
    "bounds of the same record": {"interval": 0.8, "target": "y,x@+2", "features": "x,c:category"},
    "a season of records": {"season": 7, "target": "x@+9,x@+1"},
    "a season in time": {"season": 0.5, "time": "y", "target": "x@+3,x@+1"},
    "a watch for drift": {"drift": "page-hinkley", "on_drift": "raise-lr,reset-optimizer,restart-head"},
    "challengers": {
        "challengers": [Challenge("b", {"hidden_size": 4, "seed": 2}), Challenge("a", {"cell": "gru", "seed": 1})],
        "interval": 0.8,
    },
    "bounds of each key": {"interval": 0.8, "alarm": 0.9, "per_key": True, "replay": 2},
    "several targets": {"target": "x@+3,x@+1"},
    "a target of the same record": {"target": "y", "features": "x,c:category"},
    "one stream": {"key": None, "max_keys": 1},
    "no forecasts": {"forecasts": False},
    "long chunks": {"seq_len": 7, "batch_size": 3, "max_keys": 64},
}


@pytest.mark.parametrize("name", OPTIONS)
async def test_with_every_kind_of_records(data: Path, tmp_path: Path, name: str) -> None:
    told, whole = Told(), Told()
    expected = await train(data, tmp_path / "whole", whole, options=OPTIONS[name])
    for steps in (5, 23, None):
        found = await train(data, tmp_path / "parts", told, steps, options=OPTIONS[name])
    assert differing(found, expected) == []
    assert (told.forecasts, told.rejects) == (whole.forecasts, whole.rejects)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stops=st.lists(st.integers(1, 120), max_size=5), every=st.integers(1, 40), delay=st.integers(0, 2))
def test_wherever_it_stops(
    data: Path, tmp_path_factory: pytest.TempPathFactory, stops: list[int], every: int, delay: int
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    trio.run(lambda: check(data, folder, sorted(stops), every, delay=delay))


async def test_an_older_checkpoint_can_be_gone_back_to(data: Path, tmp_path: Path) -> None:
    told = Told()
    expected = await train(data, tmp_path, told)
    store = CheckpointStore(tmp_path)
    middle = store.steps()[0]
    store.forget(after=middle)
    assert newest(tmp_path).about["step"] == middle
    assert differing(await train(data, tmp_path, told), expected) == []


@pytest.mark.parametrize("vocabulary", ["chars", "bytes"])
@pytest.mark.parametrize("delay", [0, 2])
async def test_a_text_goes_on(tmp_path: Path, delay: int, vocabulary: str) -> None:
    text = tmp_path / "text"
    text.write_text("to be or not to be, that is the question. " * 40, encoding="utf-8")

    async def run(folder: Path, steps: int | None) -> Part:
        async with open_source(text, batch_size=3, seq_len=5, epochs=2, vocabulary=vocabulary) as source:
            drawn = {"embedding_dropout": 0.1, "output_dropout": 0.1, "zoneout": 0.1}
            model = SequenceModel(len(source.vocabulary), embedding_size=3, hidden_size=4, seed=1, **drawn)
            trainer = Trainer(model, Adam(0.01), delay=delay, shards=3, executor="inline", seed=5)
            checkpoints = Checkpoints(folder, every=7)
            trainer.resume(checkpoints, source)
            await trainer.run(source, steps=steps and steps - trainer.step, checkpoints=checkpoints)
        return newest(folder)

    expected = await run(tmp_path / "whole", None)
    assert expected.about["step"] > 200
    for steps in (1, 20, 119, None):
        found = await run(tmp_path / "parts", steps)
    assert differing(found, expected) == []


class Own:
    """A program's own batches."""

    def __init__(self, count: int) -> None:
        self._next, self._count = 0, count

    def __iter__(self) -> Iterator[SequenceBatch]:
        while self._next < self._count:
            values = np.random.default_rng(self._next).random((4, 3, 2), np.float32)
            self._next += 1
            yield SequenceBatch(values, values[..., :1])

    def position(self) -> int:
        return self._next

    def rewind(self, position: int) -> None:
        self._next = position


def said(report: Report) -> tuple[Any, ...]:
    """What of it is a function of the batches."""
    counts = report.step, report.version, report.staleness, report.tokens, report.skipped, report.undone
    return *counts, repr(report.loss), repr(report.grad_norm), report.records


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("count", [41, 44])  # at the end is what makes no batch, or one that is closed short
async def test_the_last_report_of_records_is_not_lost(tmp_path: Path, count: int, delay: int) -> None:
    async def run(folder: str, steps: int | None = None) -> list[tuple[Any, ...]]:
        checkpoints, reports = Checkpoints(tmp_path / folder, every=None), list[Report]()
        async with open_records(path, features="x", target="x@+1", seq_len=4, batch_size=1, stride=4) as records:
            trainer = Trainer(records.model(hidden_size=3, seed=1), Adam(0.01), delay=delay, executor="inline")
            trainer.resume(checkpoints, records)
            how: dict[str, Any] = {"report_every": 3, "steps": steps, "checkpoints": checkpoints}
            await trainer.run(records, on_report=reports.append, **how)
        return [said(report) for report in reports]

    path = tmp_path / "records.jsonl"
    path.write_text('{"x": 1.5}\n' * count)
    whole = await run("whole")
    last = whole[-1][0]
    assert last == {41: 10, 44: 11}[count]
    for steps in range(1, last + 1):
        await run(str(steps), steps)
        assert await run(str(steps)) == ([one for one in whole if one[0] > steps] or whole[-1:])
        assert await run(str(steps)) == whole[-1:]


@pytest.mark.parametrize("every", [1, 3, 5])
async def test_the_last_report_of_batches_is_not_lost(tmp_path: Path, every: int) -> None:
    async def run(folder: str, steps: int | None = None) -> list[tuple[Any, ...]]:
        model = SequenceModel(input_size=2, output_size=1, hidden_size=4, seed=1)
        trainer, batches = Trainer(model, Adam(0.01), executor="inline"), Own(10)
        checkpoints, reports = Checkpoints(tmp_path / folder, every=None), list[Report]()
        trainer.resume(checkpoints, batches)
        how: dict[str, Any] = {"report_every": every, "steps": steps, "checkpoints": checkpoints}
        await trainer.run(batches, on_report=reports.append, **how)
        return [said(report) for report in reports]

    whole = await run("whole")
    behind = whole[-1:] if every == 3 else []
    assert [step for step, *_ in whole] == {1: [*range(1, 11)], 3: [3, 6, 9, 10], 5: [5, 10]}[every]
    for steps in range(1, 11):
        await run(str(steps), steps)
        assert await run(str(steps)) == ([one for one in whole if one[0] > steps] or behind)
        assert await run(str(steps)) == behind


async def test_a_source_of_ones_own_takes_part_by_two_methods(tmp_path: Path) -> None:
    async def run(folder: Path, steps: int | None) -> Part:
        trainer = Trainer(SequenceModel(input_size=2, output_size=1, hidden_size=4, seed=1), Adam(0.01))
        batches, checkpoints = Own(50), Checkpoints(folder, every=None)
        trainer.resume(checkpoints, batches)
        await trainer.run(batches, steps=steps and steps - trainer.step, checkpoints=checkpoints)
        return newest(folder)

    expected = await run(tmp_path / "whole", None)
    for steps in (13, 14, None):
        found = await run(tmp_path / "parts", steps)
    assert differing(found, expected) == []
