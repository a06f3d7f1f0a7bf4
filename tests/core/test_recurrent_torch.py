"""The layers against torch: initial parameters, outputs, states and every gradient, over the product of the options."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from recurrio.core import GRU, LSTM, RNN, Embedding, Linear, load_weights, save_weights

torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
torch.set_num_threads(1)  # at these sizes threads only wait for each other

T, B, I, H = 6, 4, 3, 5
LENGTHS = np.array([6, 2, 5, 1])
TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
CELLS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "rnn": (RNN, torch.nn.RNN, {}),
    "relu": (RNN, torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (LSTM, torch.nn.LSTM, {}),
    "lstm projected": (LSTM, torch.nn.LSTM, {"proj_size": 3}),
    "gru": (GRU, torch.nn.GRU, {}),
}
PRODUCT = list(product((1, 2, 3), (False, True), (True, False), (False, True)))


def parts(state: Any) -> tuple[Any, ...]:  # noqa: ANN401 (an array or a pair)
    return state if isinstance(state, tuple) else (state,)


def close(ours: np.ndarray, theirs: Any, tolerance: float) -> None:  # noqa: ANN401 (a tensor)
    expected = theirs.detach().numpy()
    assert ours.shape == expected.shape
    assert ours.dtype == expected.dtype
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * max(1, np.abs(expected).max()))


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "lengths"])
@pytest.mark.parametrize(("num_layers", "bidirectional", "bias", "batch_first"), PRODUCT)
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_output_state_and_every_gradient(
    dtype: str,
    cell: str,
    num_layers: int,
    bidirectional: bool,
    bias: bool,
    batch_first: bool,
    lengths: np.ndarray | None,
) -> None:
    ours_class, theirs_class, extra = CELLS[cell]
    options = {"num_layers": num_layers, "bidirectional": bidirectional, "bias": bias, "batch_first": batch_first}
    ours = ours_class(I, H, **options, **extra, dtype=dtype, seed=3)
    torch.manual_seed(3)
    theirs = theirs_class(I, H, **options, **extra, dtype=getattr(torch, dtype))
    tolerance = TOLERANCE[dtype]
    named = dict(theirs.named_parameters())
    assert list(ours.state_dict()) == list(named)
    for name, array in ours.state_dict().items():
        if dtype == "float32":
            assert np.array_equal(array, named[name].detach().numpy()), name
        close(array, named[name], 1e-15)

    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    directions = 2 if bidirectional else 1
    x = draw(B, T, I) if batch_first else draw(T, B, I)
    start = [draw(num_layers * directions, B, extra.get("proj_size", H))]
    if theirs_class is torch.nn.LSTM:
        start.append(draw(num_layers * directions, B, H))
    output, after, tape = ours.forward(x, tuple(start) if len(start) == 2 else start[0], lengths)
    d_output, d_after = draw(*output.shape), [draw(*part.shape) for part in parts(after)]
    d_x, d_start, gradients = ours.backward(tape, d_output, tuple(d_after) if len(start) == 2 else d_after[0])

    their_x, *their_start = (torch.tensor(array, requires_grad=True) for array in (x, *start))
    their_state = tuple(their_start) if len(start) == 2 else their_start[0]
    if lengths is None:
        their_output, their_after = theirs(their_x, their_state)
    else:
        rnn = torch.nn.utils.rnn
        packed = rnn.pack_padded_sequence(their_x, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=False)
        packed_output, their_after = theirs(packed, their_state)
        their_output, _ = rnn.pad_packed_sequence(packed_output, batch_first=batch_first, total_length=T)
    loss = (their_output * torch.tensor(d_output)).sum()
    for part, d_part in zip(parts(their_after), d_after, strict=True):
        loss = loss + (part * torch.tensor(d_part)).sum()
    loss.backward()

    close(output, their_output, tolerance)
    close(d_x, their_x.grad, tolerance)
    for part, expected in zip(parts(after), parts(their_after), strict=True):
        close(part, expected, tolerance)
    for part, expected in zip(parts(d_start), their_start, strict=True):
        close(part, expected.grad, tolerance)
    assert list(gradients) == list(named)
    for name, gradient in gradients.items():
        close(gradient, named[name].grad, tolerance)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_unbatched_and_without_a_state(cell: str) -> None:
    ours_class, theirs_class, _ = CELLS[cell]
    ours = ours_class(I, H, 2, seed=5)
    torch.manual_seed(5)
    theirs = theirs_class(I, H, 2)
    x = np.random.default_rng(0).standard_normal((T, I)).astype(np.float32)
    output, after = ours(x)
    their_output, their_after = theirs(torch.tensor(x))
    close(output, their_output, 1e-5)
    for part, expected in zip(parts(after), parts(their_after), strict=True):
        close(part, expected, 1e-5)


def test_linear_and_embedding() -> None:
    torch.manual_seed(1)
    their_table, small, theirs = torch.nn.Embedding(11, 7), torch.nn.Embedding(3, 4), torch.nn.Linear(7, 3)
    torch.manual_seed(1)
    table = Embedding(11, 7, seed=1)
    close(table.parameters.reshape(11, 7), their_table.weight, 1e-6)
    torch.manual_seed(9)
    small, theirs = torch.nn.Embedding(3, 4), torch.nn.Linear(7, 3)
    close(Embedding(3, 4, seed=9).parameters.reshape(3, 4), small.weight, 1e-6)
    torch.manual_seed(9)
    theirs = torch.nn.Linear(7, 3)
    linear = Linear(7, 3, seed=9)
    for name, array in linear.state_dict().items():
        assert np.array_equal(array, theirs.state_dict()[name].numpy()), name

    tokens = np.random.default_rng(0).integers(0, 11, (5, 2))
    rows, table_tape = table.forward(tokens)
    y, tape = linear.forward(rows)
    d_rows, gradients = linear.backward(tape, np.cos(y))
    their_rows = their_table(torch.tensor(tokens))
    their_y = theirs(their_rows)
    torch.sin(their_y).sum().backward()
    close(y, their_y, 1e-5)
    for name, gradient in gradients.items():
        close(gradient, getattr(theirs, name).grad, 1e-5)
    close(table.backward(table_tape, d_rows)["weight"], their_table.weight.grad, 1e-5)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("cell", CELLS)
def test_weights_travel_both_ways_as_a_file(cell: str, tmp_path: Any) -> None:  # noqa: ANN401 (a path)
    from safetensors.torch import load_file, save_file

    ours_class, theirs_class, extra = CELLS[cell]
    x = np.random.default_rng(0).standard_normal((T, B, I)).astype(np.float32)
    theirs = theirs_class(I, H, 2, bidirectional=True, **extra)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    ours = ours_class(I, H, 2, bidirectional=True, **extra, seed=None)
    ours.load_state_dict(load_weights(tmp_path / "theirs.safetensors")[0])
    close(ours(x)[0], theirs(torch.tensor(x))[0], 1e-5)

    ours = ours_class(I, H, 2, bidirectional=True, **extra, seed=8)
    save_weights(tmp_path / "ours.safetensors", ours.state_dict())
    theirs.load_state_dict(load_file(tmp_path / "ours.safetensors"))
    close(ours(x)[0], theirs(torch.tensor(x))[0], 1e-5)
