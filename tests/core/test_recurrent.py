"""The layers: lengths, resets, single steps, tapes, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.layers import LAYERS
from support.memory import peak

from recurrio.core import GRU, LSTM, RNN, ArgumentError, LSTMState, StateDictError


def parts(state: Any) -> tuple[Any, ...]:  # noqa: ANN401 (an array or a pair)
    return state if isinstance(state, tuple) else (state,)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, np.ndarray, Any, np.ndarray, np.ndarray]:
    """A float64 layer, an input, a state, lengths and a reset mask."""
    cell = draw(st.sampled_from(sorted(LAYERS)))
    steps, lanes, features, hidden = (draw(st.integers(1, most)) for most in (7, 4, 3, 4))
    options = {"num_layers": draw(st.integers(1, 2)), "bias": draw(st.booleans()), "dtype": "float64"}
    layer = LAYERS[cell](features, hidden + 1, **options, seed=draw(st.integers(0, 99)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = np.array(draw(st.lists(st.integers(0, steps), min_size=lanes, max_size=lanes)))
    x = rng.standard_normal((steps, lanes, features))
    reset = rng.random((steps, lanes)) < draw(st.sampled_from((0, 0.3)))
    state = layer(x)[1]
    for part in parts(state):
        part[...] = rng.standard_normal(part.shape)
    return layer, x, state, lengths, reset


def run(layer: Any, x: np.ndarray, state: Any, lengths: Any = None, reset: Any = None) -> list[np.ndarray]:  # noqa: ANN401
    """Output, state, and the gradients of a fixed function of both."""
    output, after, tape = layer.forward(x, state, lengths, reset)
    d_after = [np.sin(np.arange(part.size).reshape(part.shape)) for part in parts(after)]
    d_output = np.cos(np.arange(output.size).reshape(output.shape))
    d_x, d_state, gradients = layer.backward(tape, d_output, LSTMState(*d_after) if len(d_after) == 2 else d_after[0])
    return [output, *parts(after), d_x, *parts(d_state), *gradients.values()]


def agree(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)


@given(cases(), st.sampled_from([1e9, np.nan, np.inf]))
@settings(deadline=None)
def test_what_stands_in_the_padding_never_matters(case: tuple[Any, ...], junk: float) -> None:
    layer, x, state, lengths, reset = case
    padding = np.arange(len(x))[:, None] >= lengths
    expected = run(layer, x, state, lengths, reset)
    other = x.copy()
    other[padding] = junk
    for one, same in zip(run(layer, other, state, lengths, reset | padding), expected, strict=True):
        assert np.array_equal(one, same)
    assert not expected[0][padding].any()


@given(cases(), st.data())
@settings(deadline=None)
def test_a_cut_sequence_with_the_state_carried_equals_one_pass(case: tuple[Any, ...], data: st.DataObject) -> None:
    layer, x, state, lengths, reset = case
    cut = data.draw(st.integers(1, len(x)))
    whole, after = layer(x, state, lengths, reset)
    first, carried = layer(x[:cut], state, np.minimum(lengths, cut), reset[:cut])
    pieces = [first]
    if cut < len(x):
        second, carried = layer(x[cut:], carried, np.maximum(lengths - cut, 0), reset[cut:])
        pieces.append(second)
    agree([np.concatenate(pieces), *parts(carried)], [whole, *parts(after)])


@given(cases())
@settings(deadline=None)
def test_a_batch_equals_its_rows_one_by_one(case: tuple[Any, ...]) -> None:
    layer, x, state, lengths, reset = case
    output, after = layer(x, state, lengths, reset)
    for lane in range(x.shape[1]):
        now = slice(lane, lane + 1)
        own = [part[:, now] for part in parts(state)]
        row, last = layer(x[:, now], LSTMState(*own) if len(own) == 2 else own[0], lengths[now], reset[:, now])
        agree([row, *parts(last)], [output[:, now], *(part[:, now] for part in parts(after))])


@given(cases())
@settings(deadline=None)
def test_single_steps_equal_one_pass(case: tuple[Any, ...]) -> None:
    layer, x, state, _, _ = case
    output, after = layer(x, state)
    outputs = []
    for record in x:
        one, state = layer.step(record, state)
        outputs.append(one)
    agree([np.stack(outputs), *parts(state)], [output, *parts(after)])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", LAYERS)
def test_a_reset_starts_a_sequence_of_its_own(cell: str, bidirectional: bool) -> None:
    layer = LAYERS[cell](3, 4, 1, bidirectional=bidirectional, dtype="float64", seed=0)
    x, reset = np.random.default_rng(0).standard_normal((9, 1, 3)), np.zeros((9, 1), bool)
    reset[[4, 7]] = True
    alone = [layer(piece)[0] for piece in np.split(x, [4, 7])]
    np.testing.assert_allclose(layer(x, None, None, reset)[0], np.concatenate(alone), rtol=1e-12)


@pytest.mark.parametrize("cell", LAYERS)
def test_two_tapes_in_flight_do_not_touch_each_other(cell: str) -> None:
    layer = LAYERS[cell](3, 4, 2, bidirectional=True, seed=0)
    x, y = np.random.default_rng(0).standard_normal((2, 5, 3, 3)).astype(np.float32)
    d_output = np.ones((5, 3, layer.stack.output_size), np.float32)
    expected = [layer.backward(layer.forward(z)[2], d_output) for z in (x, y)]
    tapes = [layer.forward(z)[2] for z in (x, y)]
    layer.parameters *= 2  # an update meanwhile
    for tape, (d_x, _, gradients) in zip(tapes, expected, strict=True):
        other_d_x, _, other = layer.backward(tape, d_output)
        assert np.array_equal(d_x, other_d_x)
        assert all(np.array_equal(gradients[name], other[name]) for name in gradients)


@pytest.mark.parametrize("shape", [(5, 3), (1, 1)])
@pytest.mark.parametrize("options", [{}, {"batch_first": True}])
def test_what_is_returned_is_the_callers_own(shape: tuple[int, int], options: dict[str, Any]) -> None:
    layer = LSTM(1, 1, **options)
    x, d_output = np.ones((*shape, 1), np.float32), np.ones((*shape, 1), np.float32)
    lengths = np.full(shape[0 if layer.batch_first else 1], 1)
    for mask in (None, lengths):
        output, _, tape = layer.forward(x, None, mask)
        d_x, _, gradients = layer.backward(tape, d_output)
        kept, d_kept = output.copy(), d_x.copy()
        layer.backward(tape, 2 * d_output)
        assert np.array_equal(d_x, d_kept)
        output.fill(7)
        again = layer.backward(tape, d_output)[2]
        assert all(np.array_equal(gradients[name], again[name]) for name in gradients)
        layer.forward(2 * x, None, mask, tape=tape)
        assert (output == 7).all()
        assert np.array_equal(layer.forward(x, None, mask)[0], kept)


def test_a_tape_of_another_layer_is_refused() -> None:
    x = np.ones((5, 2, 3), np.float32)
    _, _, tape = LSTM(3, 4, seed=1).forward(x)
    for call in (lambda: LSTM(3, 4).backward(tape, x), lambda: GRU(3, 4).forward(x, tape=tape)):
        with pytest.raises(ArgumentError, match="tape: expected one of this layer, got one of another"):
            call()
    with pytest.raises(ArgumentError, match="tape: expected what forward returned, got str"):
        LSTM(3, 4).forward(x, tape="tape")


def test_a_tape_used_again_is_the_same_memory_and_ends_the_old_one() -> None:
    layer = LSTM(3, 4, seed=0)
    x = np.ones((5, 2, 3), np.float32)
    output, _, first = layer.forward(x)
    again, _, second = layer.forward(x, tape=first)
    assert second.workspace is first.workspace
    assert np.array_equal(output, again)
    d_output = np.ones_like(output)
    with pytest.raises(ArgumentError, match="tape: expected one that no later pass has overwritten"):
        layer.backward(first, d_output)
    layer.backward(second, d_output)
    assert layer.forward(x[:4], tape=second)[2].workspace is not second.workspace


@pytest.mark.parametrize("cell", LAYERS)
def test_nothing_is_allocated_that_grows_with_the_steps(cell: str) -> None:
    def peaks(steps: int) -> list[int]:
        layer = LAYERS[cell](8, 16, seed=0)
        _, _, tape = layer.forward(np.ones((steps, 4, 8), np.float32))
        workspace, weights = tape.workspace, layer.stack.weights(layer.layout.views(layer.parameters))
        gradient = layer.stack.weights(layer.layout.views(np.empty_like(layer.parameters)))
        state, found = layer.stack.initial_state(4), []
        workspace.d_outputs[...] = 1  # what `backward` finds there is the caller's to say
        for gradients in [loop.d_state for loop in workspace.kernels]:
            for part in gradients:
                part.fill(0)
        passes = (
            lambda: list(workspace.forward(weights, state)),
            lambda: list(workspace.backward()),
            lambda: workspace.weight_gradient(gradient),
        )
        for one in passes:
            one()
            found.append(min(peak(one) for _ in range(3)))  # other threads may allocate meanwhile
        return found

    # NumPy's own buffers for arrays in pieces grow up to a few hundred steps, to at most 8192 elements an operand.
    for short, long in zip(peaks(400), peaks(2000), strict=True):
        assert long < short + 1000
        assert long < 200_000


@pytest.mark.parametrize("cell", LAYERS)
def test_dropout_needs_an_rng_and_keeps_the_mean(cell: str) -> None:
    layer = LAYERS[cell](3, 40, 2, dropout=0.5, seed=1)
    x = np.random.default_rng(0).standard_normal((5, 3, 3)).astype(np.float32)
    whole = layer(x)[0]
    assert np.array_equal(layer(x)[0], whole)
    one, same, other = (layer.forward(x, rng=np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one, whole)
    all_dropped = LAYERS[cell](3, 40, 2, dropout=1.0, seed=1)
    silent = all_dropped.forward(x, rng=np.random.default_rng(0))[0]
    assert np.array_equal(silent, all_dropped.forward(2 * x, rng=np.random.default_rng(0))[0])


def test_widths_by_layer() -> None:
    layer = LSTM(3, [6, 4, 5], num_layers=3, seed=0)
    output, state = layer(np.ones((7, 2, 3), np.float32))
    assert output.shape == (7, 2, 5)
    assert [part.shape for part in state.hidden] == [(2, 6), (2, 4), (2, 5)]
    half, carried = layer(np.ones((4, 2, 3), np.float32))
    rest, _ = layer(np.ones((3, 2, 3), np.float32), carried)
    np.testing.assert_allclose(np.concatenate((half, rest)), output, rtol=1e-6)
    with pytest.raises(ArgumentError, match="hidden_size: expected one width, or 2"):
        LSTM(3, [6, 4, 5], num_layers=2)


def test_not_a_number_in_is_not_a_number_out_in_its_lane() -> None:
    for make in LAYERS.values():
        layer = make(3, 4)
        x = np.ones((5, 2, 3), np.float32)
        x[2, 0, 1] = np.nan
        output, _, tape = layer.forward(x)
        layer.backward(tape, output)
        if make is not LAYERS["rnn_relu"]:
            assert np.isnan(output[2:, 0]).all()
        assert np.isfinite(output[:, 1]).all()


X = np.zeros((5, 2, 3), np.float32)
WRONG_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"x": X[0, 0]}, r"x: expected a float32 array \(T, B, 3\), got float32 \(3,\)"),
    "features": ({"x": X[:, :, :2]}, r"x: expected a float32 array \(T, B, 3\), got float32 \(5, 2, 2\)"),
    "dtype": (
        {"x": X.astype(float)},
        r"x: expected a float32 array \(T, B, 3\), got float64 \(5, 2, 3\)"
        r" \(x.astype\('float32'\), or a layer with dtype='float64'\)$",
    ),
    "dtype and features": ({"x": X[:, :, :2].astype(float)}, r"x: .*, got float64 \(5, 2, 2\)$"),
    "integers": ({"x": X.astype(int)}, r"x: .*, got int64 \(5, 2, 3\)$"),
    "a list": ({"x": [[1.0]]}, r"x: expected a float32 array \(T, 3\), got list"),
    "empty": ({"x": X[:, :0]}, r"x: expected at least one step and one lane, got \(5, 0, 3\)"),
    "no steps": ({"x": X[:0]}, r"x: expected at least one step"),
    "state": ({"state": np.zeros((1, 3, 4), np.float32)}, r"state: expected a float32 array \(1, 2, 4\), got"),
    "state dtype": ({"state": np.zeros((1, 2, 4))}, r"state: expected a float32 array \(1, 2, 4\), got float64"),
    "lengths": ({"lengths": np.array([6, 1])}, r"lengths: expected whole numbers from 0 to 5 \(T\), got"),
    "negative": ({"lengths": np.array([-1, 1])}, r"lengths: expected whole numbers from 0 to 5"),
    "halves": ({"lengths": np.array([1.5, 1])}, r"lengths: expected whole numbers"),
    "too few": ({"lengths": np.array([1])}, r"lengths: expected an array \(2,\)"),
    "reset": ({"reset": np.zeros((2, 5), bool)}, r"reset: expected a bool array \(5, 2\)"),
    "reset dtype": ({"reset": np.zeros((5, 2))}, r"reset: expected a bool array \(5, 2\), got float64"),
}


@pytest.mark.parametrize("wrong", WRONG_CALLS)
def test_wrong_arguments_are_named(wrong: str) -> None:
    arguments, message = WRONG_CALLS[wrong]
    with pytest.raises(ArgumentError, match=message):
        GRU(3, 4).forward(**{"x": X, **arguments})


def test_wrong_gradients_and_states_are_named() -> None:
    layer = LSTM(3, 4, seed=0)
    output, state, tape = layer.forward(X)
    with pytest.raises(ArgumentError, match=r"d_output: expected a float32 array \(T, B, 4\)"):
        layer.backward(tape, output[:, :, :3])
    with pytest.raises(ArgumentError, match="d_output: expected 5 steps of 2 lanes"):
        layer.backward(tape, output[:4])
    with pytest.raises(ArgumentError, match=r"d_state: expected a pair \(h, c\), got ndarray"):
        layer.backward(tape, output, state.hidden)
    with pytest.raises(ArgumentError, match=r"state: expected a pair \(h, c\), got a tuple of 1"):
        layer(X, (state.hidden,))
    for wrong in (output, state, (output, state, tape), None):
        with pytest.raises(ArgumentError, match=f"tape: expected what forward returned, got {type(wrong).__name__}"):
            layer.backward(wrong, tape)
    with pytest.raises(ArgumentError, match=r"d_output: expected a float32 array .*, got LSTMState"):
        layer.backward(tape, state._replace(cell=X))
    with pytest.raises(ArgumentError, match=r"x: expected a float32 array \(B, 3\)"):
        layer.step(X[0][:, :2])
    with pytest.raises(ArgumentError, match="layer: expected one direction"):
        LSTM(3, 4, bidirectional=True).step(X[0])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (RNN, {"input_size": 0}, "input_size: expected a whole number of at least 1, got 0"),
        (RNN, {"hidden_size": 2.5}, "hidden_size: expected a whole number"),
        (GRU, {"hidden_size": []}, "hidden_size: expected one width, or 1"),
        (GRU, {"num_layers": -1}, "num_layers: expected a whole number"),
        (RNN, {"nonlinearity": "cube"}, "nonlinearity: expected one of tanh, relu, sigmoid, got 'cube'"),
        (GRU, {"dropout": 1.5}, "dropout: expected a finite number of at least 0 and at most 1, got 1.5"),
        (LSTM, {"proj_size": 4}, "proj_size: expected less than hidden_size, 4, got 4"),
        (LSTM, {"dtype": "float16"}, "dtype: expected float32 or float64, got 'float16'"),
        (RNN, {"dtype": None}, "dtype: expected float32 or float64, got None"),
        (GRU, {"dtype": np.int64}, "dtype: expected float32 or float64, got <class 'numpy.int64'>"),
        (LSTM, {"seed": -1}, "seed: expected a whole number from 0"),
        (GRU, {"bias": 2}, "bias: expected True or False, got 2"),
    ],
)
def test_nonsense_configuration_raises(make: Callable[..., Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make(**{"input_size": 3, "hidden_size": 4, **options})


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64"), "float64"])
def test_a_dtype_may_be_numpys_own(dtype: Any) -> None:  # noqa: ANN401
    for make in LAYERS.values():
        assert make(3, 4, dtype=dtype).parameters.dtype == np.float64


def test_load_state_dict_names_every_problem_and_changes_nothing() -> None:
    layer = LSTM(3, 4, seed=0)
    before, named = layer.parameters.copy(), layer.state_dict()
    del named["bias_ih_l0"]
    named["weight_ih_l1"] = named["weight_ih_l0"]
    named["weight_hh_l0"] = np.zeros((4, 4))
    with pytest.raises(StateDictError) as caught:
        layer.load_state_dict(named)
    assert caught.value.problems == [
        "missing bias_ih_l0",
        "unexpected weight_ih_l1",
        "weight_hh_l0: expected shape (16, 4), got (4, 4)",
    ]
    assert np.array_equal(layer.parameters, before)
