"""Chunks of keys that have steps in common: the state that goes on is that after the steps of the first alone."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core import SequenceBatch, SequenceModel
from recurrio.core.base import compiled
from recurrio.core.base.arena import Arena
from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.model.batch import BatchBuffer
from recurrio.core.model.run_memory import RunMemory
from recurrio.core.model.shard import Shard

T, B, KEYS = 6, 5, 9
ROWS = np.array([3, ~0, 8, 1, ~5])


def states_after(model: SequenceModel, ranks: int, batch: SequenceBatch, before: Array) -> Array:
    """The states of all keys, as they were `before`, after `batch`."""
    memory = RunMemory(model, [B], ranks=ranks, rows=1, workspaces=1, keys=KEYS, arena=Arena())
    assert memory.keys is not None
    np.copyto(memory.parameters[0], model.parameters)
    edges = np.cumsum([0, *(table.shape[1] for table in memory.keys.tables)])
    for table, start in zip(memory.keys.tables, edges, strict=False):
        np.copyto(table, before[:, start : start + table.shape[1]])
    with np.errstate(over="ignore"):
        Shard(model, T, B, memory, 0, 0).forward(0, 0, 0, batch)
    return np.concatenate(memory.keys.tables, axis=1)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("lengths", [None, np.array([6, 0, 4, 2, 5])])
@pytest.mark.parametrize("carry", [[1] * 5, [6, 0, 4, 0, 2], [2, 0, 4, 2, 5]])
def test_the_state_after_some_of_the_steps_goes_on(
    cell: str, dtype: str, ranks: int, lengths: Array | None, carry: list[int]
) -> None:
    model = SequenceModel(input_size=3, output_size=2, hidden_size=[8, 6], num_layers=2, cell=cell, dtype=dtype, seed=1)
    rng = np.random.default_rng(0)
    inputs, targets = rng.standard_normal((T, B, 3)).astype(dtype), rng.standard_normal((T, B, 2)).astype(dtype)
    units = sum(len(part) for layer in model.initial_state(1) for part in layer)
    before = rng.standard_normal((KEYS, units)).astype(dtype)
    goes_on = np.minimum(carry, T if lengths is None else lengths)
    batch = SequenceBatch(inputs, targets, False, lengths, ROWS, carry=goes_on)
    model.network.check(batch)
    found = states_after(model, ranks, batch, before)

    expected = before.copy()
    for lane, (row, steps) in enumerate(zip(ROWS.tolist(), goes_on.tolist(), strict=True)):
        own = row if row >= 0 else ~row
        if row < 0:
            expected[own] = 0
        if steps:
            alone = slice(lane, lane + 1)
            part = SequenceBatch(inputs[:steps, alone], targets[:steps, alone], False, None, np.array([row]))
            expected[own] = states_after(model, ranks, part, before)[own]
    if compiled.has("product", model.dtype):
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_it_goes_through_shared_memory() -> None:
    model = SequenceModel(input_size=3, output_size=2, hidden_size=4, seed=1)
    batch = SequenceBatch(np.ones((T, 2, 3), "f4"), np.ones((T, 2, 2), "f4"), rows=ROWS[:2], carry=np.array([2, 3]))
    buffer = BatchBuffer(model.network.spec(T, B), Arena())
    found = buffer.read(*buffer.write(batch))
    assert found.carry is not None
    assert found.carry.tolist() == [2, 3]


@pytest.mark.parametrize("carry", [np.array([7, 0]), np.array([-1, 0]), np.array([0.5, 0]), np.array([1])])
def test_a_wrong_one_is_refused(carry: Array) -> None:
    model = SequenceModel(input_size=3, output_size=2, hidden_size=4, seed=1)
    batch = SequenceBatch(np.ones((T, 2, 3), "f4"), np.ones((T, 2, 2), "f4"), rows=ROWS[:2], carry=carry)
    with pytest.raises(ArgumentError, match="carry"):
        model.network.check(batch)


def test_it_is_for_one_direction_and_for_keys() -> None:
    arrays, carry = (np.ones((T, 2, 3), "f4"), np.ones((T, 2, 2), "f4")), np.array([1, 1])
    both = SequenceModel(input_size=3, output_size=2, hidden_size=4, bidirectional=True, seed=1)
    for model, rows in ((both, ROWS[:2]), (SequenceModel(input_size=3, output_size=2, hidden_size=4, seed=1), None)):
        with pytest.raises(ArgumentError, match="carry"):
            model.network.check(SequenceBatch(*arrays, rows=rows, carry=carry))
