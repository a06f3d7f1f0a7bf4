"""Batches that are smaller than the first: fewer steps, fewer lanes, none for a shard; the bits of the serial loop."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core import Adam, ArgumentError, SequenceBatch, SequenceModel
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Trainer
from recurrio.pipeline.executors import EXECUTORS
from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.testing import random_batches

SIZES = [(7, 6), (5, 6), (7, 1), (1, 2), (7, 6), (3, 5), (2, 3), (7, 6), (7, 4)]  # T, B
COMPUTED = [
    pytest.param(name, marks=pytest.mark.skipif(name == "process" and obstacle() is not None, reason="no workers"))
    for name in EXECUTORS
]


def make_model(vocabulary: int) -> SequenceModel:
    return SequenceModel(vocabulary, embedding_size=5, hidden_size=8, num_layers=2, dropout=0.3, seed=1)


def make_batches(model: SequenceModel) -> list[SequenceBatch]:
    """Of all sizes; some with lengths, some with resets."""
    rng, made = np.random.default_rng(0), list[SequenceBatch]()
    for number, (steps, lanes) in enumerate(SIZES):
        (batch,) = random_batches(model, 1, steps, lanes, seed=number)
        lengths = rng.integers(0, steps + 1, lanes) if number % 3 == 1 else None
        reset = rng.random((steps, lanes)) < 0.2 if number % 3 == 2 else number == 4
        made.append(batch._replace(lengths=lengths, reset=reset))
    return made


@pytest.mark.parametrize("vocabulary", [6, 40])  # folded into the first layer, and looked up
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize(("shards", "ranks"), [(1, 1), (1, 2), (4, 1)])
@pytest.mark.parametrize("executor", COMPUTED)
async def test_smaller_batches_train_as_in_the_serial_loop(
    executor: str, shards: int, ranks: int, delay: int, vocabulary: int
) -> None:
    counts, model = {"shards": shards, "ranks": ranks, "delay": delay, "seed": 3}, make_model(vocabulary)
    batches = make_batches(model)
    state = TrainingState(make_model(vocabulary), Updater(Adam(0.01)), **counts)
    list(run(state, batches))
    trainer = Trainer(model, Adam(0.01), executor=executor, **counts)
    assert await trainer.run(batches) == len(batches)
    ours, theirs = trainer.state.dump(), state.dump()
    assert ours.arrays.keys() == theirs.arrays.keys()
    assert all(np.array_equal(ours.arrays[name], array) for name, array in theirs.arrays.items())


async def test_lanes_that_are_missing_keep_their_state() -> None:
    model = make_model(6)
    (whole,) = random_batches(model, 1, 7, 6)
    trainer = Trainer(model, Adam(0.01), shards=2, executor="inline")
    await trainer.run([whole])
    before = trainer.state.dump().arrays
    few = SequenceBatch(whole.inputs[:3, :2], whole.targets[:3, :2])
    await trainer.run([few])
    after = trainer.state.dump().arrays
    assert np.array_equal(before["hidden.1.0.0.0"], after["hidden.1.0.0.0"])
    assert np.array_equal(before["hidden.0.0.0.0"][:, 2:], after["hidden.0.0.0.0"][:, 2:])
    assert not np.array_equal(before["hidden.0.0.0.0"][:, :2], after["hidden.0.0.0.0"][:, :2])


@pytest.mark.parametrize(("steps", "lanes"), [(8, 6), (7, 7)])
async def test_a_larger_batch_is_refused(steps: int, lanes: int) -> None:
    model = make_model(6)
    batches = random_batches(model, 1, 7, 6) + random_batches(model, 1, steps, lanes)
    message = rf"expected at most 7 steps of 6 lanes, .*, got \({steps}, {lanes}\)"
    with pytest.raises(ArgumentError, match=f"^inputs: {message}"):
        list(run(TrainingState(make_model(6), Updater(Adam(0.01))), batches))
    with pytest.raises(ArgumentError, match=f"^batch 1: inputs: {message}"):
        await Trainer(model, Adam(0.01)).run(batches)


async def test_the_largest_batch_of_all_runs_counts() -> None:
    """As in one run: the second may begin with a shorter batch, and go on with a longer one."""
    model = make_model(6)
    batches = [random_batches(model, 1, steps, 4, seed=steps)[0]._replace(reset=False) for steps in (5, 3, 5, 7)]
    trainer = Trainer(model, Adam(0.01), executor="inline", seed=3)
    await trainer.run(batches[:1])
    await trainer.run(batches[1:3])
    await trainer.run(batches[3:])
    state = TrainingState(make_model(6), Updater(Adam(0.01)), seed=3)
    for part in (batches[:3], batches[3:]):
        list(run(state, part))
    ours, theirs = trainer.state.dump(), state.dump()
    assert all(np.array_equal(ours.arrays[name], array) for name, array in theirs.arrays.items())
