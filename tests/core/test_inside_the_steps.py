"""Layer normalisation and zoneout: against plain loops in torch, and with lengths, states, ranks and single steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurrio.core import Adam, ArgumentError, MSELoss, SequenceBatch, SequenceModel
from recurrio.core.cells.table import CELLS
from recurrio.core.serial import train

T, B, I, H, O, P = 7, 3, 4, 5, 2, 0.3
OPTIONS: dict[str, dict[str, Any]] = {
    "normalised": {"layer_norm": True},
    "zoned out": {"zoneout": P},
    "both": {"layer_norm": True, "zoneout": P},
}
CASES = [(cell, name) for cell in CELLS for name in OPTIONS if name == "zoned out" or CELLS[cell].normalises]
each_case = pytest.mark.parametrize(("cell", "options"), CASES)


def make_model(cell: str, options: str, dtype: str = "float64", **more: Any) -> SequenceModel:  # noqa: ANN401
    sizes = {"input_size": I, "hidden_size": H, "output_size": O, "loss": MSELoss()}
    model = SequenceModel(**sizes, cell=cell, **OPTIONS[options], **more, dtype=dtype, seed=1)
    rng = np.random.default_rng(4)
    for name, array in model.layout.views(model.parameters).items():
        if name.endswith(".norm"):
            array += rng.standard_normal(array.shape) * 0.3
    return model


def make_batch(dtype: str = "float64") -> SequenceBatch:
    rng = np.random.default_rng(0)
    return SequenceBatch(*(rng.standard_normal((T, B, size)).astype(dtype) for size in (I, O)))


def step_by_torch(cell: str, named: dict[str, Any], x: Any, state: list[Any], normed: bool) -> list[Any]:  # noqa: ANN401
    """The next state, of lanes in rows, by the equations."""
    import torch

    ours = {name.removeprefix("rnn.").removesuffix("_l0"): array for name, array in named.items()}
    from_x = torch.nn.functional.linear(x, ours["weight_ih"], ours["bias_ih"]).split(H, dim=1)
    from_h = torch.nn.functional.linear(state[0], ours["weight_hh"], ours["bias_hh"]).split(H, dim=1)

    def sums(*parts: Any) -> list[Any]:  # noqa: ANN401 (tensors)
        if not normed:
            return list(parts)
        pairs = zip(ours["norm_weight"].split(H), ours["norm_bias"].split(H), strict=True)
        return [torch.nn.functional.layer_norm(part, (H,), *pair) for part, pair in zip(parts, pairs, strict=True)]

    if cell == "lstm":
        i, f, g, o = sums(*(a + b for a, b in zip(from_x, from_h, strict=True)))
        new = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return [o.sigmoid() * new.tanh(), new]
    if cell == "gru":
        r, z, n, s = sums(from_x[0] + from_h[0], from_x[1] + from_h[1], from_x[2], from_h[2])
        n = torch.tanh(n + r.sigmoid() * s)
        return [(1 - z.sigmoid()) * n + z.sigmoid() * state[0]]
    (a,) = sums(from_x[0] + from_h[0])
    return [{"rnn": torch.tanh, "rnn_relu": torch.relu, "rnn_sigmoid": torch.sigmoid}[cell](a)]


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize(("cell", "options"), [case for case in CASES if case[0] != "gru_reset_before"])
def test_loss_and_gradients_are_torchs(cell: str, options: str, dtype: str, tolerance: float, draws: bool) -> None:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    model, batch = make_model(cell, options, dtype), make_batch(dtype)
    loss, gradient, _ = model.gradient(batch, rng=np.random.default_rng(3) if draws else None)

    named = {name: torch.from_numpy(array).requires_grad_() for name, array in model.state_dict().items()}
    parts, rng = 1 + (cell == "lstm"), np.random.default_rng(3)
    kept = [np.full((T, H, B), model.network.stack.zoneout, dtype) for _ in range(parts)]
    if draws and model.network.stack.zoneout:
        kept = [(rng.random((T, H, B), np.float32) < P).astype(dtype) for _ in range(parts)]
    state, outputs = [torch.zeros(B, H, dtype=getattr(torch, dtype))] * parts, []
    for t, x in enumerate(torch.from_numpy(batch.inputs)):
        new = step_by_torch(cell, named, x, state, model.network.stack.layer_norm)
        masks = [torch.from_numpy(array[t].T.copy()) for array in kept]
        state = [k * old + (1 - k) * s for k, old, s in zip(masks, state, new, strict=True)]
        outputs.append(torch.nn.functional.linear(state[0], named["head.weight"], named["head.bias"]))
    expected = torch.nn.functional.mse_loss(torch.stack(outputs), torch.from_numpy(batch.targets))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=tolerance)
    for name, array in model.state_dict(gradient).items():
        theirs = named[name].grad.numpy()
        np.testing.assert_allclose(array, theirs, rtol=0, atol=tolerance * max(1, np.abs(theirs).max()), err_msg=name)


@each_case
def test_single_steps_equal_one_pass(cell: str, options: str) -> None:
    model, batch, state = make_model(cell, options, num_layers=2), make_batch(), None
    whole, after = model(batch.inputs)
    for x, expected in zip(batch.inputs, whole, strict=True):
        outputs, state = model.step(x, state)
        np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(state, after, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@each_case
def test_lengths_and_resets_cut_a_lane_into_sequences_of_their_own(cell: str, options: str) -> None:
    model, batch = make_model(cell, options), make_batch()
    lengths, reset = np.array([7, 4, 0]), np.zeros((T, B), bool)
    reset[3, 0] = True
    outputs, after = model(batch.inputs, None, lengths, reset)
    first, _ = model(batch.inputs[:3, :1])
    second, end = model(batch.inputs[3:, :1])
    third, end_of_third = model(batch.inputs[:4, 1:2])
    np.testing.assert_allclose(outputs[:, :1], np.concatenate((first, second)), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(outputs[:4, 1:2], third, rtol=1e-10, atol=1e-14)
    for whole, one, other in zip(after[0], end[0], end_of_third[0], strict=True):
        np.testing.assert_allclose(whole, np.concatenate((one, other, np.zeros_like(one)), 1), rtol=1e-10, atol=1e-14)


def test_what_is_kept_is_kept_to_the_bit() -> None:
    model = SequenceModel(input_size=I, hidden_size=H, output_size=O, zoneout=1.0, loss=MSELoss(), seed=1)
    state = model.initial_state(B)
    for part in state[0]:
        part[...] = np.random.default_rng(0).standard_normal(part.shape)
    _, gradient, after = model.gradient(make_batch("float32"), state, rng=np.random.default_rng(0))
    for new, old in zip(after[0], state[0], strict=True):
        assert np.array_equal(new, old)
    d_named = model.state_dict(gradient)
    assert not any(array.any() for name, array in d_named.items() if name.startswith("rnn."))
    assert d_named["head.weight"].any()


def test_zoneout_keeps_as_many_units_as_it_says() -> None:
    model = SequenceModel(input_size=I, hidden_size=400, output_size=O, zoneout=P, loss=MSELoss(), seed=1)
    state = model.initial_state(B)
    for part in state[0]:
        part.fill(0.5)
    batch = make_batch("float32")
    one = SequenceBatch(batch.inputs[:1], batch.targets[:1])
    _, _, after = model.gradient(one, state, rng=np.random.default_rng(0))
    for part in after[0]:
        assert np.mean(part == 0.5) == pytest.approx(P, abs=0.05)
    kept = [part == 0.5 for part in after[0]]
    assert np.mean(kept[0] & kept[1]) == pytest.approx(P * P, abs=0.04)  # of h and of c apart


def test_new_parameters_are_those_without_and_a_norm_that_begins_as_none() -> None:
    plain, normed = (
        SequenceModel(5, cell="gru", hidden_size=H, layer_norm=layer_norm, seed=1) for layer_norm in (False, True)
    )
    named = normed.state_dict()
    assert named.pop("rnn.norm_weight_l0").tolist() == [1] * 4 * H
    assert named.pop("rnn.norm_bias_l0").tolist() == [0] * 4 * H
    for name, array in plain.state_dict().items():
        assert np.array_equal(named[name], array)


def test_ranks_and_cells_that_cannot_are_refused() -> None:
    with pytest.raises(ArgumentError, match="layer_norm: expected False for a cell of gru_reset_before, got True"):
        SequenceModel(5, cell="gru_reset_before", layer_norm=True)
    batch = make_batch()
    with pytest.raises(ArgumentError, match="ranks: expected at most 1 for this model, got 2"):
        next(train(make_model("lstm", "normalised"), Adam(0.1), [batch], ranks=2))
    assert next(train(make_model("lstm", "zoned out"), Adam(0.1), [batch], ranks=2)).loss > 0
