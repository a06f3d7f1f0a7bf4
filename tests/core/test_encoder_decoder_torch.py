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


# The attention, whether the encoder reads both ways, and whether the decoder is fed.
KINDS = [
    *[(attention, False, False) for attention in (None, *SCORES)],
    *[(attention, True, False) for attention in (None, "general", "additive")],
    *[(attention, attention != "dot", True) for attention in SCORES],
]


def make_model(cell: str, attention: str | None, both: bool, fed: bool) -> EncoderDecoder:
    options = {"attention": attention, "bidirectional": both, "input_feeding": fed, "cell": cell, "seed": 3}
    return EncoderDecoder(V, W, start=START, end=END, embedding_size=E, hidden_size=H, **options)


def make_twin(cell: str, attention: str | None, both: bool, fed: bool) -> Any:  # noqa: ANN401 (a module of torch)
    """torch's layers under the names of ours, made in the same order."""
    rnn, linear = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell], torch.nn.Linear

    def side(size: int, inputs: int, both: bool) -> Any:  # noqa: ANN401
        return torch.nn.ModuleDict(
            {"embedding": torch.nn.Embedding(size, E), "rnn": rnn(inputs, H, bidirectional=both)}
        )

    M = 2 * H if both else H
    layers, scores = {"encoder": side(V, E, both)}, {}
    if both:
        parts = {part: linear(2 * H, H) for part in ("h", "c")[: 2 if cell == "lstm" else 1]}
        layers["bridge"] = torch.nn.ModuleDict({"l0": torch.nn.ModuleDict(parts)})
    layers["decoder"] = side(W, E + H if fed else E, False)
    if attention in ("general", "additive"):
        scores["key"] = linear(M, H, bias=False)
    if attention == "additive":
        scores |= {"query": linear(H, H, bias=False), "energy": linear(H, 1, bias=False)}
    if attention is not None:
        layers |= {"attention": torch.nn.ModuleDict(scores), "combine": linear(M + H, H)}
    return torch.nn.ModuleDict({**layers, "head": linear(H, W)})


def look_up(twin: Any, attention: str, memory: Any, absent: Any, outputs: Any) -> Any:  # noqa: ANN401 (torch's)
    """Luong's attention, for outputs of the decoder ``(S, B, H)``."""
    m, q = memory.transpose(0, 1), outputs.transpose(0, 1)  # the lanes first
    keys = m if attention == "dot" else twin["attention"]["key"](m)
    if attention == "additive":
        sums = twin["attention"]["query"](q)[:, :, None] + keys[:, None]
        scores = twin["attention"]["energy"](torch.tanh(sums))[..., 0]
    else:
        scores = q @ keys.transpose(1, 2)
    weights = torch.softmax(scores.masked_fill(absent[:, None], -torch.inf), dim=2)
    return torch.tanh(twin["combine"](torch.cat((weights @ m, q), dim=2))).transpose(0, 1)


def loss_of(twin: Any, batch: SequenceBatch, attention: str | None, fed: bool) -> Any:  # noqa: ANN401 (torch's)
    """Teacher forcing, as one writes it in torch, with packed sources."""
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
    read, absent = twin["decoder"]["embedding"](before), torch.arange(len(inputs)) >= lengths[:, None]
    if fed:
        values = [torch.zeros(1, inputs.shape[1], H)]
        for step in read:
            output, state = twin["decoder"]["rnn"](torch.cat((step[None], values[-1]), dim=2), state)
            values.append(look_up(twin, attention, memory, absent, output))
        outputs = torch.cat(values[1:])
    else:
        outputs, _ = twin["decoder"]["rnn"](read, state)
        if attention is not None:
            outputs = look_up(twin, attention, memory, absent, outputs)
    return torch.nn.functional.cross_entropy(twin["head"](outputs).flatten(0, 1), targets.flatten())


@pytest.mark.parametrize(("attention", "both", "fed"), KINDS)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_loss_and_gradients_are_those_of_torch(cell: str, attention: str | None, both: bool, fed: bool) -> None:
    model, twin = make_model(cell, attention, both, fed), make_twin(cell, attention, both, fed)
    twin.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()})
    for batch in random_pairs(model, 4, 9, 7, 6):
        loss, gradient = model.gradient(batch)
        twin.zero_grad()
        expected = loss_of(twin, batch, attention, fed)
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        theirs = {name: parameter.grad.numpy() for name, parameter in twin.named_parameters()}
        for name, ours in model.state_dict(gradient).items():
            np.testing.assert_allclose(ours, theirs[name], rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize(("attention", "both", "fed"), KINDS)
def test_a_seed_gives_the_parameters_of_torch(attention: str | None, both: bool, fed: bool) -> None:
    ours = make_model("gru", attention, both, fed).state_dict()
    torch.manual_seed(3)
    twin = make_twin("gru", attention, both, fed)
    for name, parameter in twin.named_parameters():
        np.testing.assert_allclose(ours[name], parameter.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
