"""What is masked or unused has no share in a gradient, whatever it is: not a number, infinite, or a number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.layers import LAYERS, RANKED

from recurrio.core import LSTM, LSTMState, MSELoss, SequenceBatch, SequenceModel
from recurrio.core.base.arena import Arena
from recurrio.core.cells.table import CELLS
from recurrio.core.model.heads.table import HEADS
from recurrio.core.model.run_memory import RunMemory
from recurrio.core.model.shard import Shard

T, B = 7, 4
NONSENSE = [np.nan, np.inf, -1e38]
OPTIONS: dict[str, dict[str, Any]] = {
    "one layer": {},
    "both ways": {"bidirectional": True, "num_layers": 2},
    "float64": {"dtype": "float64", "bias": False},
}
LENGTHS = np.array([7, 0, 3, 5])


def make_model(cell: str, vocabulary: int, output: str, options: str) -> SequenceModel:
    sizes = {"embedding_size": 4, "hidden_size": 5, "output_size": 2, "loss": MSELoss()}
    return SequenceModel(vocabulary, **sizes, cell=cell, output=output, **OPTIONS[options], seed=1)


def make_batch(model: SequenceModel, lengths: np.ndarray | None = None) -> SequenceBatch:
    """Of tokens 1, 2 and 4 alone; 0 is where there is no step."""
    rng = np.random.default_rng(0)
    tokens = rng.choice([1, 2, 4], (T, B))
    if lengths is not None:
        tokens[np.arange(T)[:, None] >= lengths] = 0
    targets = rng.standard_normal((model.network.head.target_steps(T), B, 2)).astype(model.dtype)
    return SequenceBatch(tokens, targets, False, lengths)


def with_rows(model: SequenceModel, value: float) -> SequenceModel:
    model.layout.views(model.parameters)["embedding.weight"][[0, 3]] = value
    return model


def same(one: Any, other: Any) -> None:  # noqa: ANN401 (arrays, in lists)
    if isinstance(one, list | tuple):
        for a, b in zip(one, other, strict=True):
            same(a, b)
    else:
        assert np.array_equal(one, other)
        assert np.isfinite(one).all()


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("vocabulary", [6, 40])  # folded in one direction, and looked up
@pytest.mark.parametrize("cell", CELLS)
def test_rows_that_no_step_uses(
    cell: str, vocabulary: int, output: str, options: str, masked: bool, value: float
) -> None:
    model = make_model(cell, vocabulary, output, options)
    batch = make_batch(model, LENGTHS if masked else None)
    results = []
    for filler in (value, 0.5):
        with_rows(model, filler)
        results.append((*model.gradient(batch), model(batch.inputs, None, batch.lengths)))
    same(*results)


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("vocabulary", [6, 40])
@pytest.mark.parametrize("cell", CELLS)
def test_the_state_of_a_lane_without_steps(cell: str, vocabulary: int, output: str, options: str, value: float) -> None:
    model = make_model(cell, vocabulary, output, options)
    batch, results = make_batch(model, LENGTHS), []
    for filler in (value, 0.5):
        state = model.initial_state(B)
        for part in state:
            for array in part:
                array[:, 1] = filler
        loss, gradient, after = model.gradient(batch, state)
        assert all((array[:, 1] == filler).all() or np.isnan(filler) for part in after for array in part)
        results.append((loss, gradient, [array[:, [0, 2, 3]] for part in after for array in part]))
    same(*results)


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_a_reset_ends(cell: str, output: str, value: float) -> None:
    model, results = make_model(cell, 6, output, "one layer"), []
    reset = np.zeros((T, B), bool)
    reset[0, 2] = True
    for filler in (value, 0.5):
        state = model.initial_state(B)
        for part in state:
            for array in part:
                array[:, 2] = filler
        results.append(model.gradient(make_batch(model)._replace(reset=reset), state))
    same(*results)


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("cell", RANKED)
@np.errstate(over="ignore", invalid="ignore")
def test_with_ranks(cell: str, output: str, value: float) -> None:
    model, results = make_model(cell, 6, output, "one layer"), []
    for filler in (value, 0.5):
        memory = RunMemory(model, [B], ranks=2, rows=1, workspaces=1, arena=Arena())
        memory.parameters[0] = with_rows(model, filler).parameters
        for rank in memory.state_before(0)[0]:
            for array in rank[0]:
                array[:, 1] = filler
        shard = Shard(model, T, B, memory, 0, seed=0)
        loss = shard.forward(0, 0, 0, make_batch(model, LENGTHS))
        shard.backward(0, 1.0)
        results.append((loss, memory.gradients[0].copy()))
    same(*results)


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_the_padding_of_a_layer(layer: str, bidirectional: bool, value: float) -> None:
    one, rng, results = LAYERS[layer](3, 5, 2, bidirectional=bidirectional), np.random.default_rng(0), []
    x, padding = rng.standard_normal((T, B, 3)).astype("f4"), np.arange(T)[:, None] >= LENGTHS
    for filler in (value, 0.5):
        x[padding] = filler
        state = one(np.ones((T, B, 3), "f4"))[1]
        parts = state if isinstance(state, tuple) else (state,)
        for part in parts:
            part[:, 1] = filler
        output, _, tape = one.forward(x, state, LENGTHS)
        d_output = np.cos(np.arange(output.size, dtype="f4").reshape(output.shape))
        d_output[padding] = filler
        d_x, d_state, gradients = one.backward(tape, d_output)
        d_parts = d_state if isinstance(d_state, tuple) else (d_state,)
        results.append((output, d_x, *d_parts, *gradients.values()))
    same(*results)


def test_a_state_that_passes_a_lane_by_comes_out_as_it_was() -> None:
    layer = LSTM(3, 5)
    x, state = np.ones((T, B, 3), "f4"), LSTMState(*np.full((2, 1, B, 5), np.nan, "f4"))
    after = layer(x, state, np.array([0, 0, 0, 0]))[1]
    assert np.isnan(after.hidden).all()
    d_after = LSTMState(*np.full((2, 1, B, 5), 3, "f4"))
    _, _, tape = layer.forward(x, state, np.array([0, 0, 0, 0]))
    _, d_state, gradients = layer.backward(tape, np.zeros((T, B, 5), "f4"), d_after)
    assert (d_state.hidden == 3).all()
    assert (d_state.cell == 3).all()
    assert not any(gradient.any() for gradient in gradients.values())
