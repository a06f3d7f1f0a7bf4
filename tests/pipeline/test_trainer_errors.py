"""What a trainer does with errors, nonsense and batches that are none, and what a failed run leaves behind."""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import threadpoolctl
import trio

from recurrio.core import Adam, NonFiniteError, SequenceBatch, SequenceModel, StepLR
from recurrio.core.base.blas import blas_threads
from recurrio.core.model.shard import Shard
from recurrio.core.serial import train
from recurrio.pipeline import Trainer

Batches = Callable[..., list[SequenceBatch]]
VOCABULARY = 9


def make_model() -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=5, hidden_size=8, num_layers=2, seed=1)


def run_serial(batches: list[SequenceBatch], **options: int) -> np.ndarray:
    model = make_model()
    list(train(model, Adam(0.01), batches, clip=0.5, **options))
    return model.parameters


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("stage", ["forward", "backward"])
async def test_the_first_error_ends_all_stages_and_is_raised(
    stage: str, executor: str, make_batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, calls = getattr(Shard, stage), 0

    def failing(self: Shard, *arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyError("planted")
        return method(self, *arguments)

    monkeypatch.setattr(Shard, stage, failing)
    batches = make_batches(30, 6, 4, VOCABULARY)
    model = make_model()
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=2, delay=1, executor=executor)
    with pytest.raises(KeyError, match="planted"):
        await trainer.run(batches)
    monkeypatch.undo()
    expected = run_serial(batches[: trainer.step], shards=2, delay=1)
    assert np.array_equal(model.parameters, expected)


async def test_an_error_of_the_source_is_raised(make_batches: Batches) -> None:
    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in make_batches(3, 6, 4, VOCABULARY):
            yield batch
        raise OSError("the line is dead")

    trainer = Trainer(make_model(), Adam(0.01))
    with pytest.raises(OSError, match="the line is dead"):
        await trainer.run(source())


async def test_a_group_of_errors_of_the_source_is_raised_as_it_is(make_batches: Batches) -> None:
    group = ExceptionGroup("two lines", [OSError("dead"), ValueError("garbled")])

    async def source() -> AsyncIterator[SequenceBatch]:
        yield make_batches(1, 6, 4, VOCABULARY)[0]
        raise group

    with pytest.raises(ExceptionGroup) as caught:
        await Trainer(make_model(), Adam(0.01), executor="inline").run(source())
    assert caught.value is group


async def test_a_trainer_runs_once_at_a_time(make_batches: Batches) -> None:
    trainer = Trainer(make_model(), Adam(0.01), executor="inline")
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="running already")):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(trainer.run, make_batches(3, 6, 4, VOCABULARY))
    assert await trainer.run(make_batches(3, 6, 4, VOCABULARY)) == 3


async def test_nothing_that_is_not_finite_is_applied(make_batches: Batches) -> None:
    model = make_model()
    trainer = Trainer(model, Adam(1e38), clip=None)
    with pytest.raises(NonFiniteError):
        await trainer.run(make_batches(30, 6, 4, VOCABULARY))
    assert np.isfinite(model.parameters).all()


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("delay", -1),
        ("shards", 0),
        ("ranks", 0),
        ("ranks", 9),
        ("blas_threads", 0),
        ("capacity", 1.5),
        ("clip", 0.0),
        ("clip", float("nan")),
        ("executor", "gpu"),
    ],
)
def test_nonsense_configuration_raises(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=argument):
        Trainer(make_model(), Adam(0.01), **{argument: value})


async def test_more_shards_than_lanes_raises(make_batches: Batches) -> None:
    with pytest.raises(ValueError, match="shards: expected 1 to 4"):
        await Trainer(make_model(), Adam(0.01), shards=5).run(make_batches(1, 6, 4, VOCABULARY))


@pytest.mark.parametrize("executor", ["inline", "thread", "process"])
@pytest.mark.parametrize("wrong", [-1, VOCABULARY, 0.5])
@pytest.mark.parametrize("which", [0, 1])
async def test_what_is_no_token_is_refused(which: int, wrong: float, executor: str, make_batches: Batches) -> None:
    batches = make_batches(3, 6, 4, VOCABULARY)
    arrays = [batches[2].inputs, batches[2].targets]
    arrays[which] = arrays[which].astype(type(wrong))
    arrays[which][3, 1] = wrong
    batches[2] = SequenceBatch(*arrays)
    trainer = Trainer(make_model(), Adam(0.01), ranks=2, executor=executor)
    expected = r"(inputs: expected (indices from 0 to 8|whole)|targets: expected (classes in 0…8|an array of integers))"
    with pytest.raises(ValueError, match=f"batch 2: {expected}"):
        await trainer.run(batches)
    assert trainer.step <= 2


async def test_a_run_that_has_failed_leaves_nothing_for_the_garbage_collector(make_batches: Batches) -> None:
    class Broken(Adam):
        def step(self, *_: object) -> None:
            raise OSError("broken")

    gc.collect()
    gc.disable()
    try:
        model = make_model()
        watched = weakref.ref(model)
        try:
            await Trainer(model, Broken(0.01), executor="inline").run(make_batches(3, 6, 4, VOCABULARY))
        except OSError as error:
            assert error.__context__ is None  # noqa: PT017
        del model
        assert watched() is None
    finally:
        gc.enable()


async def test_the_cause_of_an_error_is_kept() -> None:
    async def source() -> AsyncIterator[SequenceBatch]:
        yield SequenceBatch(np.zeros((6, 4), np.int32), np.zeros((6, 4), np.int32))
        raise RuntimeError("no data") from OSError("the line is dead")

    with pytest.raises(RuntimeError, match="no data") as caught:
        await Trainer(make_model(), Adam(0.01)).run(source())
    assert isinstance(caught.value.__cause__, OSError)


async def test_trainers_side_by_side_agree_on_blas_threads(make_batches: Batches) -> None:
    batches = make_batches(20, 6, 4, VOCABULARY)
    expected = run_serial(batches)
    before = threadpoolctl.threadpool_info()
    models = [make_model(), make_model()]
    async with trio.open_nursery() as nursery:
        for model, steps in zip(models, (5, 20), strict=True):
            nursery.start_soon(Trainer(model, Adam(0.01), clip=0.5, blas_threads=1).run, batches[:steps])
    assert np.array_equal(models[1].parameters, expected)
    assert threadpoolctl.threadpool_info() == before

    with blas_threads(1), pytest.raises(ValueError, match="blas_threads: expected 1"):
        await Trainer(make_model(), Adam(0.01), blas_threads=2).run(batches)


async def test_a_run_cancelled_before_its_first_step_leaves_nothing_behind(make_batches: Batches) -> None:
    def descriptors() -> int:
        gc.collect()  # a mapping of memory holds a descriptor, and goes with its last array
        return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0

    batches, before = make_batches(2, 6, 4, VOCABULARY), descriptors()
    for _ in range(3):
        with trio.CancelScope() as scope:
            scope.cancel()
            await Trainer(make_model(), Adam(0.01), ranks=2, executor="process").run(batches)
    await trio.lowlevel.checkpoint()  # trio holds the last Cancelled, and with it the frames, until the next one
    assert descriptors() == before


@pytest.mark.parametrize(
    ("batches", "steps", "message"),
    [
        ([None], None, "batches: expected SequenceBatch after SequenceBatch, got NoneType"),
        (
            [(np.zeros((6, 4)), np.zeros((6, 4)))],
            None,
            "batches: expected SequenceBatch after SequenceBatch, got tuple",
        ),
        ([SequenceBatch(np.zeros(4, int), np.zeros(4, int))], None, "inputs: expected an array"),
        ([SequenceBatch(np.zeros((0, 4), int), np.zeros((0, 4), int))], None, "inputs: expected at least one step"),
        ([], 1.5, "steps: expected a whole number of at least 0, got 1.5"),
    ],
)
async def test_what_is_no_batch_is_named(batches: list[SequenceBatch], steps: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        await Trainer(make_model(), Adam(0.01)).run(batches, steps=steps)


@pytest.mark.parametrize("options", [{"optimizer": None}, {"optimizer": Adam}, {"schedule": StepLR}, {"seed": -1}])
def test_what_is_no_option_is_named(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected"):
        Trainer(make_model(), **{"optimizer": Adam(0.01), **options})
