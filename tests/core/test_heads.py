"""The heads of sequences against torch's autograd on the same outputs of a stack, and where there is no step at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurrio.core import CrossEntropyLoss, SequenceBatch, SequenceModel
from recurrio.core.model.heads import HEADS

T, B, I, H, V = 9, 4, 3, 5, 3
LENGTHS = np.array([9, 1, 4, 6])
POOLS = [name for name, head in HEADS.items() if not head.streams]


def pooled(name: str, output: Any, present: Any, model: SequenceModel, named: dict[str, Any]) -> Any:  # noqa: ANN401
    """The features ``(B, D·H)`` of `output` ``(T, B, D·H)``, by torch."""
    import torch

    missing = ~present[:, :, None]
    if name == "mean":
        return output.masked_fill(missing, 0).sum(0) / present.sum(0)[:, None]
    if name == "max":
        return output.masked_fill(missing, -torch.inf).max(0).values
    if name == "attention":
        scores = torch.nn.functional.linear(output, named["attention.weight"]).masked_fill(missing, -torch.inf)
        return (scores.softmax(0) * output).sum(0)
    last = output[torch.from_numpy(LENGTHS) - 1, torch.arange(B)]
    return last if not model.config["bidirectional"] else torch.cat((last[:, :H], output[0, :, H:]), dim=1)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", POOLS)
def test_loss_and_gradients_are_torchs(name: str, bidirectional: bool, dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    model = SequenceModel(
        input_size=I,
        hidden_size=H,
        cell="gru",
        output_size=V,
        output=name,
        loss=CrossEntropyLoss(),
        bidirectional=bidirectional,
        dtype=dtype,
        seed=1,
    )
    rng = np.random.default_rng(0)
    x, targets = rng.standard_normal((T, B, I)).astype(dtype), rng.integers(0, V, (1, B))
    loss, gradient, _ = model.gradient(SequenceBatch(x, targets, False, LENGTHS))

    named = {key: torch.from_numpy(array).requires_grad_() for key, array in model.state_dict().items()}
    gru = torch.nn.GRU(I, H, bidirectional=bidirectional, dtype=getattr(torch, dtype))
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        torch.from_numpy(x), torch.from_numpy(LENGTHS), enforce_sorted=False
    )
    weights = {key.removeprefix("rnn."): array for key, array in named.items() if key.startswith("rnn.")}
    output, _ = torch.func.functional_call(gru, weights, (packed,))
    output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    present = torch.from_numpy(np.arange(T)[:, None] < LENGTHS)
    logits = torch.nn.functional.linear(
        pooled(name, output, present, model, named), named["head.weight"], named["head.bias"]
    )
    expected = torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets[0]))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=tolerance)
    for key, array in model.state_dict(gradient).items():
        np.testing.assert_allclose(array, named[key].grad.numpy(), rtol=0, atol=tolerance, err_msg=key)


@pytest.mark.parametrize("name", [name for name in POOLS if name != "last"])
def test_a_lane_without_steps_has_the_bias_of_the_head(name: str) -> None:
    model = SequenceModel(input_size=I, hidden_size=H, output_size=V, output=name, seed=1)
    x = np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)
    outputs, _ = model(x, None, np.array([3, 0, 9, 0]))
    bias = model.state_dict()["head.bias"]
    assert np.array_equal(outputs[0, [1, 3]], np.array([bias, bias]))
    assert not np.array_equal(outputs[0, 0], bias)


def test_the_gradient_of_a_maximum_goes_to_the_first_step_that_has_it() -> None:
    model = SequenceModel(input_size=1, hidden_size=1, output_size=1, cell="rnn_relu", output="max", seed=1)
    named = model.state_dict()
    for key, array in named.items():
        array.fill(1 if key in ("rnn.weight_ih_l0", "head.weight") else 0)
    model.load_state_dict(named)
    x = np.array([2, 5, 1, 5, 3], np.float32).reshape(5, 1, 1)
    _, gradient, _ = model.gradient(SequenceBatch(x, np.full((1, 1, 1), 4, np.float32)))
    d_named = model.state_dict(gradient)  # of (max − 4)², which is 1: 2 at the maximum
    assert d_named["rnn.weight_ih_l0"].item() == 2 * 5
    assert d_named["rnn.bias_ih_l0"].item() == 2
    assert d_named["rnn.weight_hh_l0"].item() == 2 * 2  # of the step before the first maximum
