"""The encoder–decoder beside the same equations in PyTorch: loss and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.pairs import random_pairs

from recurrio.core import EncoderDecoder, SequenceBatch
from recurrio.core.seq2seq.scores import SCORES

torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
torch.set_num_threads(1)  # at these sizes threads only wait for each other

V, W, E, H, START, END = 11, 13, 6, 8, 11, 12


def make_twin(cell: str, attention: str | None, both: bool = False) -> Any:  # noqa: ANN401 (a module of torch)
    """torch's layers under the names of ours, made in the same order."""
    rnn, linear = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell], torch.nn.Linear

    def side(size: int, both: bool) -> Any:  # noqa: ANN401
        return torch.nn.ModuleDict({"embedding": torch.nn.Embedding(size, E), "rnn": rnn(E, H, bidirectional=both)})

    M = 2 * H if both else H
    layers, scores = {"encoder": side(V, both)}, {}
    if both:
        parts = {part: linear(2 * H, H) for part in ("h", "c")[: 2 if cell == "lstm" else 1]}
        layers["bridge"] = torch.nn.ModuleDict({"l0": torch.nn.ModuleDict(parts)})
    layers["decoder"] = side(W, False)
    if attention in ("general", "additive"):
        scores["key"] = linear(M, H, bias=False)
    if attention == "additive":
        scores |= {"query": linear(H, H, bias=False), "energy": linear(H, 1, bias=False)}
    if attention is not None:
        layers |= {"attention": torch.nn.ModuleDict(scores), "combine": linear(M + H, H)}
    return torch.nn.ModuleDict({**layers, "head": linear(H, W)})


def loss_of(twin: Any, batch: SequenceBatch, attention: str | None) -> Any:  # noqa: ANN401 (torch's)
    """Teacher forcing, as one writes it in torch: a batch of packed sources, and Luong's attention over them."""
    pack, pad = torch.nn.utils.rnn.pack_padded_sequence, torch.nn.utils.rnn.pad_packed_sequence
    inputs, targets = torch.from_numpy(batch.inputs), torch.from_numpy(batch.targets)
    lengths = torch.from_numpy(np.full(inputs.shape[1], len(inputs)) if batch.lengths is None else batch.lengths)
    packed = pack(twin["encoder"]["embedding"](inputs), lengths, enforce_sorted=False)
    memory, state = twin["encoder"]["rnn"](packed)
    memory, _ = pad(memory, total_length=len(inputs))
    if "bridge" in twin:
        layers, parts = twin["bridge"]["l0"].values(), state if isinstance(state, tuple) else (state,)
        made = [torch.tanh(layer(torch.cat((*part,), 1)))[None] for layer, part in zip(layers, parts, strict=True)]
        state = tuple(made) if len(made) > 1 else made[0]
    before = torch.cat((torch.full_like(targets[:1], START), targets[:-1].clamp(min=0)))
    q, _ = twin["decoder"]["rnn"](twin["decoder"]["embedding"](before), state)
    if attention is not None:
        m, q = memory.transpose(0, 1), q.transpose(0, 1)  # the lanes first
        keys = m if attention == "dot" else twin["attention"]["key"](m)
        if attention == "additive":
            sums = twin["attention"]["query"](q)[:, :, None] + keys[:, None]
            scores = twin["attention"]["energy"](torch.tanh(sums))[..., 0]
        else:
            scores = q @ keys.transpose(1, 2)
        absent = torch.arange(len(inputs)) >= lengths[:, None]
        weights = torch.softmax(scores.masked_fill(absent[:, None], -torch.inf), dim=2)
        q = torch.tanh(twin["combine"](torch.cat((weights @ m, q), dim=2))).transpose(0, 1)
    return torch.nn.functional.cross_entropy(twin["head"](q).flatten(0, 1), targets.flatten())


KINDS = [*[(attention, False) for attention in (None, *SCORES)]]
KINDS += [(attention, True) for attention in (None, "general", "additive")]


@pytest.mark.parametrize(("attention", "both"), KINDS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_loss_and_gradients_are_those_of_torch(cell: str, attention: str | None, both: bool) -> None:
    options = {"embedding_size": E, "hidden_size": H, "cell": cell, "attention": attention, "seed": 3}
    options["bidirectional"] = both
    model = EncoderDecoder(V, W, start=START, end=END, **options)
    twin = make_twin(cell, attention, both)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    for batch in random_pairs(model, 4, 9, 7, 6):
        loss, gradient = model.gradient(batch)
        twin.zero_grad()
        expected = loss_of(twin, batch, attention)
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        theirs = {name: parameter.grad.numpy() for name, parameter in twin.named_parameters()}
        for name, ours in model.state_dict(gradient).items():
            np.testing.assert_allclose(ours, theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("attention", "both"), KINDS)
def test_a_seed_gives_the_parameters_of_torch(attention: str | None, both: bool) -> None:
    options = {"embedding_size": E, "hidden_size": H, "attention": attention, "bidirectional": both, "seed": 3}
    model = EncoderDecoder(V, W, start=START, end=END, **options)
    ours = model.state_dict()
    torch.manual_seed(3)
    twin = make_twin("gru", attention, both)
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(ours[name], parameter.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
