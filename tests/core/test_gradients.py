"""The model's gradient against directional derivatives in float64, and against a planted error."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from recurrio.core import SequenceModel
from recurrio.core.lstm import LSTMSequence

STEPS, LANES = 7, 3


def directional_error(model: SequenceModel, block: str, vocabulary: int, *, seed: int = 0) -> float:
    """Relative error of the gradient along a random direction within one block of the parameters."""
    rng = np.random.default_rng(seed)
    inputs, targets = rng.integers(0, vocabulary, (2, STEPS, LANES))
    start = [rng.standard_normal((2, model.hidden_size, LANES)) * 0.5 for _ in range(model.num_layers)]
    workspace = model.workspace(STEPS, LANES)

    def loss(parameters: np.ndarray) -> float:
        state = model.initial_state(LANES)
        for layer, (hidden, cell) in zip(state, start, strict=True):
            layer.hidden[...], layer.cell[...] = hidden, cell
        return model.forward(parameters, workspace, inputs, targets, state)

    direction = np.zeros_like(model.parameters)
    view = model.layout.views(direction)[block]
    view[...] = rng.standard_normal(view.shape)
    h = 1e-3  # the five-point rule: its error is of order h⁴, and rounding is divided by h

    def ahead(steps: int) -> float:
        return loss(model.parameters + steps * h * direction)

    numeric = (8 * (ahead(1) - ahead(-1)) - (ahead(2) - ahead(-2))) / (12 * h)
    loss(model.parameters)
    analytic = float(model.backward(model.parameters, workspace, 1.0) @ direction)
    return abs(numeric - analytic) / max(abs(numeric), abs(analytic))


# A vocabulary that the embedding folds (at most twice its size), and one that it looks up.
@pytest.mark.parametrize("vocabulary", [5, 30])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_every_block(vocabulary: int, layers: int) -> None:
    model = SequenceModel(vocabulary, embedding_size=4, hidden_size=6, num_layers=layers, dtype="float64", seed=layers)
    for block in model.layout.views(model.parameters):
        assert directional_error(model, block, vocabulary) < 1e-6, block


@pytest.mark.parametrize("sweep_bytes", [1, 1 << 12, 1 << 30])
def test_any_sweep_length_gives_the_same_gradient(sweep_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def gradient() -> np.ndarray:
        model = SequenceModel(9, embedding_size=4, hidden_size=6, seed=1)
        workspace = model.workspace(STEPS, LANES)
        tokens = np.random.default_rng(0).integers(0, 9, (STEPS, LANES))
        model.forward(model.parameters, workspace, tokens, tokens, model.initial_state(LANES))
        return model.backward(model.parameters, workspace, 1.0)

    expected = gradient()
    monkeypatch.setattr("recurrio.core.lstm.CACHE_BYTES", sweep_bytes)
    assert np.array_equal(gradient(), expected)


def test_a_planted_error_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    right = LSTMSequence.backward

    def wrong(self: LSTMSequence, d_matrix: np.ndarray) -> Iterator[None]:
        yield from right(self, d_matrix)
        d_matrix[0, 0] *= 1.01

    monkeypatch.setattr(LSTMSequence, "backward", wrong)
    model = SequenceModel(30, embedding_size=4, hidden_size=6, dtype="float64")
    assert directional_error(model, "rnn.0", 30) > 1e-6
