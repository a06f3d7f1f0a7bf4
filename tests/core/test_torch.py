"""The model, optimizers and clipping against torch, step by step."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core import Adagrad, Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train

torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")


class Net(torch.nn.Module):
    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(model.vocabulary_size, model.embedding_size)
        self.rnn = torch.nn.LSTM(model.embedding_size, model.hidden_size, model.num_layers)
        self.head = torch.nn.Linear(model.hidden_size, model.vocabulary_size)
        self.to(getattr(torch, model.dtype.name))
        self.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})

    def forward(self, tokens: object, state: object) -> tuple[object, object]:
        output, state = self.rnn(self.embedding(tokens), state)
        return self.head(output), state


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
@pytest.mark.parametrize("vocabulary", [6, 40])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_a_training_run_follows_torch(
    dtype: str,
    tolerance: float,
    vocabulary: int,
    optimizer: str,
    make_batches: Callable[..., list[SequenceBatch]],
) -> None:
    batches = [batch._replace(reset=False) for batch in make_batches(100, 9, 4, vocabulary)]
    model = SequenceModel(vocabulary, embedding_size=5, hidden_size=7, num_layers=2, dtype=dtype, seed=3)
    net = Net(model)
    ours = {"adagrad": Adagrad(0.05), "adam": Adam(0.01)}[optimizer]
    theirs = {
        "adagrad": torch.optim.Adagrad(net.parameters(), lr=0.05),
        "adam": torch.optim.Adam(net.parameters(), lr=0.01),
    }[optimizer]

    state = None
    for batch, step in zip(batches, train(model, ours, batches, clip=0.5), strict=True):
        theirs.zero_grad()
        inputs, targets = (torch.from_numpy(array).long() for array in batch[:2])
        logits, state = net(inputs, state)
        state = tuple(part.detach() for part in state)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        theirs.step()
        assert step.loss == pytest.approx(loss.item(), rel=tolerance)
        assert step.grad_norm == pytest.approx(norm.item(), rel=10 * tolerance)
    for name, array in model.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name].numpy(), array, rtol=0, atol=10 * tolerance, err_msg=name)
