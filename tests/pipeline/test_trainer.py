"""The pipeline against the serial loop, bit for bit; its stopping and reporting."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import trio

from recurrio.core import Adagrad, Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import Step, train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors.chooser import TRIED
from recurrio.pipeline.executors.inline import InlinePlace

Batches = Callable[..., list[SequenceBatch]]
VOCABULARY = 9


def make_model() -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=5, hidden_size=8, num_layers=2, seed=1)


def run_serial(batches: list[SequenceBatch], **options: int) -> tuple[np.ndarray, list[Step]]:
    model = make_model()
    steps = list(train(model, Adam(0.01), batches, clip=0.5, **options))
    return model.parameters, steps


@pytest.mark.parametrize("capacity", [0, 1, 4])
@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("delay", [0, 1, 2, 3])
@pytest.mark.parametrize("shards", [1, 2, 4])
async def test_same_bits_as_the_serial_loop(
    shards: int, delay: int, executor: str, capacity: int, make_batches: Batches
) -> None:
    batches = make_batches(30, 6, 5, VOCABULARY)
    expected, steps = run_serial(batches, shards=shards, delay=delay)
    model, reports = make_model(), []
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=shards, delay=delay, executor=executor, capacity=capacity)
    assert await trainer.run(batches, on_report=reports.append) == 30
    assert np.array_equal(model.parameters, expected)
    seen = [Step(report.step, report.version, report.loss, report.grad_norm) for report in reports]
    assert seen == steps
    for report in reports:
        assert report.staleness == min(delay, report.step - 1)
        assert all(channel.peak <= channel.capacity for channel in report.channels)


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
@pytest.mark.parametrize(("shards", "delay"), [(1, 0), (1, 2), (2, 1)])
@pytest.mark.parametrize("ranks", [2, 3])
async def test_same_bits_with_several_ranks(
    ranks: int, shards: int, delay: int, executor: str, make_batches: Batches
) -> None:
    batches = make_batches(30, 6, 5, VOCABULARY)
    expected, steps = run_serial(batches, shards=shards, delay=delay, ranks=ranks)
    model, losses = make_model(), []
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=shards, delay=delay, ranks=ranks, executor=executor)
    await trainer.run(batches, on_report=lambda report: losses.append(report.loss))
    assert np.array_equal(model.parameters, expected)
    assert losses == [step.loss for step in steps]


async def test_the_default_configuration_of_a_large_model(make_batches: Batches) -> None:
    batches = make_batches(5, 32, 32, 60)

    async def run(**options: object) -> np.ndarray:
        model = SequenceModel(60, embedding_size=64, hidden_size=128, seed=1)
        await Trainer(model, Adagrad(0.05), clip=1.0, **options).run(batches)
        return model.parameters

    model = SequenceModel(60, embedding_size=64, hidden_size=128, seed=1)
    list(train(model, Adagrad(0.05), batches, clip=1.0, ranks=2))
    for executor in ("auto", *TRIED) * 3:
        assert np.array_equal(await run(executor=executor), model.parameters), executor


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("executor", ["inline", "thread"])
async def test_ten_runs_at_a_size_that_uses_several_blas_threads(
    executor: str, delay: int, make_batches: Batches
) -> None:
    batches = make_batches(5, 32, 32, 60)

    async def run(executor: str) -> np.ndarray:
        model = SequenceModel(60, embedding_size=64, hidden_size=128, seed=1)
        await Trainer(model, Adagrad(0.05), clip=1.0, delay=delay, executor=executor, ranks=1, blas_threads=2).run(
            batches
        )
        return model.parameters

    first = await run("inline")
    for _ in range(10):
        assert np.array_equal(await run(executor), first)


@pytest.mark.parametrize("seed", range(10))
async def test_same_bits_whatever_the_timing(seed: int, make_batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = random.Random(seed)

    def dawdling(method: Callable[..., object]) -> Callable[..., object]:
        async def call(self: InlinePlace, *arguments: object, **options: object) -> object:
            for _ in range(dice.choice((0, 0, 1, 5, 20))):
                await trio.lowlevel.checkpoint()
            return await method(self, *arguments, **options)

        return call

    for name in ("forward", "backward", "weight_gradient"):
        monkeypatch.setattr(InlinePlace, name, dawdling(getattr(InlinePlace, name)))
    batches = make_batches(20, 6, 6, VOCABULARY)
    expected, _ = run_serial(batches, shards=3, delay=seed % 3)
    model = make_model()
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=3, delay=seed % 3, executor="inline", capacity=seed % 4)
    await trainer.run(batches)
    assert np.array_equal(model.parameters, expected)


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("at", [1, 2, 9])
async def test_what_is_applied_when_cancelled_is_a_prefix(at: int, executor: str, make_batches: Batches) -> None:
    batches = make_batches(30, 6, 4, VOCABULARY)
    model = make_model()
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=2, delay=1, executor=executor)

    def stop(report: Report) -> None:
        if report.step == at:
            scope.cancel()

    with trio.CancelScope() as scope:
        await trainer.run(batches, on_report=stop)
    assert at <= trainer.step < 30
    expected, _ = run_serial(batches[: trainer.step], shards=2, delay=1)
    assert np.array_equal(model.parameters, expected)


async def test_steps_limit_and_going_on(make_batches: Batches) -> None:
    batches = make_batches(10, 6, 4, VOCABULARY)
    model = make_model()
    trainer = Trainer(model, Adam(0.01))
    assert await trainer.run(batches, steps=0) == 0
    assert await trainer.run([]) == 0
    assert await trainer.run(batches, steps=4) == 4
    reports: list[Report] = []
    assert await trainer.run(batches, on_report=reports.append) == 10
    assert [report.step for report in reports] == list(range(5, 15))
    assert trainer.step == 14


async def test_where_the_time_goes(make_batches: Batches) -> None:
    reports: list[Report] = []
    trainer = Trainer(make_model(), Adam(0.01), shards=2, executor="inline")
    await trainer.run(make_batches(20, 6, 4, VOCABULARY), on_report=reports.append)
    last = reports[-1]
    names = ["load", "forward 0", "forward 1", "backward 0", "backward 1", "update"]
    assert [stage.name for stage in last.stages] == names
    for stage in last.stages:
        assert 0 <= stage.busy + stage.waiting_for_input + stage.waiting_for_room <= last.seconds * 1.01
        assert stage.items == 20
    assert last.tokens == 20 * 6 * 4
    assert last.tokens_per_second > 0
