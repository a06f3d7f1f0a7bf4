"""Whole training runs against torch, from the same seed: loss by loss, norm by norm, and the parameters at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recurrio.core import SGD, Adagrad, Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train

torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
torch.set_num_threads(1)  # at these sizes threads only wait for each other

CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
OPTIMIZERS: dict[str, tuple[Any, Any, dict[str, float]]] = {
    "adagrad": (Adagrad, torch.optim.Adagrad, {"lr": 0.05}),
    "adam": (Adam, torch.optim.Adam, {"lr": 0.01}),
    "sgd": (SGD, torch.optim.SGD, {"lr": 0.2, "momentum": 0.9}),
}


class Net(torch.nn.Module):
    """The same model in torch, made from the same seed."""

    def __init__(self, model: SequenceModel, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        size, dtype = model.network.stack.sizes[0], getattr(torch, model.dtype.name)
        self.embedding = torch.nn.Embedding(model.vocabulary_size, model.embedding_size, dtype=dtype)
        self.rnn = CELLS[model.config["cell"]](
            size.input_size, size.hidden_size, model.config["num_layers"], dtype=dtype
        )
        self.head = torch.nn.Linear(size.hidden_size, model.vocabulary_size, dtype=dtype)

    def forward(self, tokens: Any, state: Any) -> tuple[Any, Any]:  # noqa: ANN401 (tensors)
        output, state = self.rnn(self.embedding(tokens), state)
        return self.head(output), state


def follow(
    model: SequenceModel, seed: int, optimizer: str, batches: list[SequenceBatch], clip: float
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], dict[str, np.ndarray]]:
    """Losses and norms, here and in torch, and torch's parameters at the end."""
    ours_class, theirs_class, options = OPTIMIZERS[optimizer]
    net = Net(model, seed)
    theirs, state, their_steps = theirs_class(net.parameters(), **options), None, []
    for batch in batches:
        theirs.zero_grad()
        inputs, targets = (torch.from_numpy(array).long() for array in batch[:2])
        logits, state = net(inputs, state)
        state = tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        theirs.step()
        their_steps.append((loss.item(), norm.item()))
    our_steps = [(step.loss, step.grad_norm) for step in train(model, ours_class(**options), batches, clip=clip)]
    return our_steps, their_steps, {name: array.numpy() for name, array in net.state_dict().items()}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_a_training_run_follows_torch(
    dtype: str, tolerance: float, cell: str, optimizer: str, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    # One or the other in turn: each with each value of the others.
    vocabulary = (6, 40)[([*CELLS].index(cell) + [*OPTIMIZERS].index(optimizer) + (dtype == "float64")) % 2]
    batches = [batch._replace(reset=False) for batch in make_batches(100, 9, 4, vocabulary)]
    model = SequenceModel(vocabulary, embedding_size=5, hidden_size=7, num_layers=2, cell=cell, dtype=dtype, seed=3)
    ours, theirs, parameters = follow(model, 3, optimizer, batches, 0.5)
    np.testing.assert_allclose(ours, theirs, rtol=10 * tolerance)
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(parameters[name], array, rtol=0, atol=20 * tolerance, err_msg=name)


@pytest.mark.parametrize("cell", CELLS)
def test_a_character_model_follows_torch_for_200_steps(cell: str) -> None:
    text = " ".join("the quick brown fox jumps over the lazy dog " * 4 + str(n * n) for n in range(400))
    symbols = sorted(set(text))
    tokens = np.array([symbols.index(letter) for letter in text])
    lanes, steps = 8, 24
    rows = tokens[: len(tokens) // lanes * lanes].reshape(lanes, -1).T
    batches = [
        SequenceBatch(rows[start : start + steps], rows[start + 1 : start + steps + 1])
        for start in range(0, 200 * steps, steps)
    ]
    model = SequenceModel(len(symbols), embedding_size=16, hidden_size=32, cell=cell, seed=11)
    ours, theirs, _ = follow(model, 11, "adam", batches, 1.0)
    losses, expected = np.array(ours)[:, 0], np.array(theirs)[:, 0]
    assert len(losses) == 200
    assert expected[-1] < 0.7 * expected[0]
    np.testing.assert_allclose(losses, expected, rtol=0, atol=1e-3)
