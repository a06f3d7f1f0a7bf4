"""The GRU whose reset gate acts before the product: against its equations in torch, and beside the other form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurrio.core import GRU, Adam, ArgumentError, SequenceBatch, SequenceModel
from recurrio.core.serial import train

T, B, I, H = 7, 3, 4, 5


def by_torch(named: dict[str, Any], x: Any, h: Any) -> Any:  # noqa: ANN401 (tensors)
    """The outputs ``(T, B, H)`` by the equations of Cho et al., with torch's names."""
    import torch

    ir, iz, i_n = named["weight_ih_l0"].chunk(3)
    hr, hz, hn = named["weight_hh_l0"].chunk(3)
    br, bz, bn = (named["bias_ih_l0"] + named["bias_hh_l0"]).chunk(3)
    outputs = []
    for xt in x:
        r = torch.sigmoid(xt @ ir.T + h @ hr.T + br)
        z = torch.sigmoid(xt @ iz.T + h @ hz.T + bz)
        n = torch.tanh(xt @ i_n.T + (r * h) @ hn.T + bn)
        h = (1 - z) * n + z * h
        outputs.append(h)
    return torch.stack(outputs)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_output_state_and_every_gradient_are_torchs(dtype: str, tolerance: float) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    layer, rng = GRU(I, H, reset_after=False, dtype=dtype, seed=1), np.random.default_rng(0)
    x, state, d_output = (rng.standard_normal(shape).astype(dtype) for shape in ((T, B, I), (1, B, H), (T, B, H)))
    output, _, tape = layer.forward(x, state)
    d_x, d_state, gradients = layer.backward(tape, d_output)

    named = {name: torch.from_numpy(array).requires_grad_() for name, array in layer.state_dict().items()}
    their_x, their_h = (torch.from_numpy(array).requires_grad_() for array in (x, state))
    expected = by_torch(named, their_x, their_h[0])
    expected.backward(torch.from_numpy(d_output))
    pairs = [(output, expected.detach()), (d_x, their_x.grad), (d_state, their_h.grad)]
    pairs += [(gradients[name], named[name].grad) for name in gradients]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=tolerance * max(1, theirs.abs().max().item()))


def test_it_has_the_parameters_of_the_other_form_and_computes_something_else() -> None:
    after, before = GRU(I, H, seed=1), GRU(I, H, reset_after=False, seed=1)
    assert np.array_equal(after.parameters, before.parameters)
    x = np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)
    assert not np.allclose(after(x)[0], before(x)[0])
    assert repr(before) == f"GRU({I}, {H}, reset_after=False, seed=1)"
    with pytest.raises(ArgumentError, match="reset_after: expected True or False"):
        GRU(I, H, reset_after=0.5)


def test_ranks_are_refused() -> None:
    model = SequenceModel(5, hidden_size=H, cell="gru_reset_before", seed=1)
    tokens = np.zeros((T, B), int)
    with pytest.raises(ArgumentError, match="ranks: expected at most 1 for this model, got 2"):
        next(train(model, Adam(0.1), [SequenceBatch(tokens, tokens)], ranks=2))
