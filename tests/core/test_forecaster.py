"""The forecaster: single steps from a table of states, in whatever calls the records come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import ArgumentError, SequenceModel
from recurrio.core.base import compiled
from recurrio.core.base.product import multiply_by_lane
from recurrio.core.cells.table import CELLS
from recurrio.core.model import forecaster as module
from recurrio.core.model.forecaster import Forecaster

Array = np.ndarray
ROWS = 9
MODELS: dict[str, dict[str, Any]] = {
    **{cell: {"input_size": 3, "cell": cell} for cell in CELLS},
    "wide lstm": {"input_size": 5, "hidden_size": 37, "output_size": 3},
    "lstm without bias": {"input_size": 3, "bias": False},
    "lstm float64": {"input_size": 3, "dtype": "float64"},
    "gru float64": {"input_size": 3, "cell": "gru", "dtype": "float64"},
    "two layers": {"input_size": 3, "num_layers": 2, "hidden_size": [7, 5]},
    "two layers gru": {"input_size": 3, "num_layers": 2, "cell": "gru"},
    "projection": {"input_size": 3, "proj_size": 2},
    "normalised": {"input_size": 3, "layer_norm": True},
    "normalised gru": {"input_size": 3, "cell": "gru", "num_layers": 2, "layer_norm": True, "zoneout": 0.2},
    "zoned out": {"input_size": 3, "zoneout": 0.2},
    "indices": {"vocabulary_size": 6, "embedding_size": 4},
}
WAYS = [*(compiled.LEVELS if compiled.KERNELS else []), "NumPy"]


@contextmanager
def going(way: str) -> Iterator[None]:
    """With the kernels of one level, or without."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "KERNELS", [] if way == "NumPy" else compiled.use(way))
        yield
    if way != "NumPy":
        compiled.use(compiled.INSTRUCTIONS)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each in turn."""
    with going(request.param):
        yield request.param


def make(name: str) -> SequenceModel:
    return SequenceModel(**{"hidden_size": 6, "output_size": 2, **MODELS[name]}, seed=1)


def make_inputs(model: SequenceModel, rng: np.random.Generator, *shape: int) -> Array:
    if model.vocabulary_size is not None:
        return rng.integers(0, model.vocabulary_size, shape)
    return (2 * rng.standard_normal((*shape, model.network.stack.sizes[0].input_size))).astype(model.dtype)


def make_rows(rng: np.random.Generator, records: int) -> Array:
    """A few rows have most records, and some begin anew."""
    rows = np.minimum(rng.geometric(0.4, records) - 1, ROWS - 1)
    return np.where(rng.random(records) < 0.1, ~rows, rows)


def results(forecaster: Forecaster, parameters: Array, inputs: Array, rows: Array, cuts: list[int]) -> list[Array]:
    """The outputs, and the states after them, of calls that end at the `cuts`."""
    outputs = [
        forecaster.forecast(parameters, inputs[start:stop], rows[start:stop])
        for start, stop in pairwise([0, *cuts, len(rows)])
    ]
    return [np.concatenate(outputs), *(array.copy() for state in forecaster.states for array in state)]


def assert_same(ours: list[Array], others: list[Array]) -> None:
    for one, other in zip(ours, others, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", MODELS)
def test_forecasts_are_those_of_whole_sequences(way: str, name: str) -> None:
    model, rng = make(name), np.random.default_rng(0)
    forecaster, steps, lanes = Forecaster(model, ROWS), 7, 5
    rows = rng.permutation(ROWS)[:lanes]
    for _ in range(2):  # the second time not from zeros in the table, but as fresh
        inputs = make_inputs(model, rng, steps, lanes)
        expected, after = model(inputs)
        tolerance = {"rtol": 0, "atol": 3e-6 if model.dtype == np.float32 else 1e-14}
        for t in range(steps):
            outputs = forecaster.forecast(model.parameters, inputs[t], rows if t else ~rows)
            assert outputs.dtype == model.dtype
            np.testing.assert_allclose(outputs, expected[t], **tolerance)
        for state, columns in zip(forecaster.states, after, strict=True):
            for ours, theirs in zip(state, columns, strict=True):
                np.testing.assert_allclose(ours[rows], theirs.T, **tolerance)
                assert not np.delete(ours, rows, axis=0).any()


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_step_of_the_model(way: str, name: str) -> None:
    model, rng = make(name), np.random.default_rng(1)
    records, forecaster = 60, Forecaster(model, ROWS)
    inputs, rows = make_inputs(model, rng, records), make_rows(rng, records)
    outputs = forecaster.forecast(model.parameters, inputs, rows)
    states: dict[int, Any] = {}
    for record, row in enumerate(rows.tolist()):
        before = None if row < 0 else states.get(row)
        expected, states[max(row, ~row)] = model.step(inputs[record : record + 1], before)
        np.testing.assert_allclose(outputs[record], expected[0], rtol=0, atol=3e-6)


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(MODELS)),
    way=st.sampled_from(WAYS),
    records=st.integers(0, 80),
    seed=st.integers(0, 99),
    data=st.data(),
)
def test_the_bits_do_not_depend_on_how_the_records_are_cut(
    name: str, way: str, records: int, seed: int, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, records), max_size=12)))
    with going(way):
        model, rng = make(name), np.random.default_rng(seed)
        inputs, rows = make_inputs(model, rng, records), make_rows(rng, records)
        whole = results(Forecaster(model, ROWS), model.parameters, inputs, rows, [])
        for some in (cuts, list(range(1, records))):
            assert_same(results(Forecaster(model, ROWS), model.parameters, inputs, rows, some), whole)


@pytest.mark.parametrize("name", MODELS)
def test_the_bits_of_a_row_do_not_depend_on_the_others(way: str, name: str) -> None:
    model, rng = make(name), np.random.default_rng(2)
    inputs, rows = make_inputs(model, rng, 150), make_rows(rng, 150)
    whole = results(Forecaster(model, ROWS), model.parameters, inputs, rows, [])
    for row in range(3):
        mine = np.flatnonzero((rows == row) | (rows == ~row))
        alone = Forecaster(model, ROWS + 50)
        outputs, *states = results(alone, model.parameters, inputs[mine], rows[mine], [])
        assert_same([outputs, *(state[row] for state in states)], [whole[0][mine], *(one[row] for one in whole[1:])])


def test_the_cutting_test_bites(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the sums of a BLAS, or with records of a row in the wrong order."""
    model, rng = make("two layers gru"), np.random.default_rng(3)
    inputs, rows = make_inputs(model, rng, 80), make_rows(rng, 80)
    whole = results(Forecaster(model, ROWS), model.parameters, inputs, rows, [])

    def differs(name: str, wrong: Callable[..., object]) -> bool:
        with monkeypatch.context() as patch:
            patch.setattr(module, name, wrong)
            other = results(Forecaster(model, ROWS), model.parameters, inputs, rows, [])
        return not all(np.array_equal(one, two) for one, two in zip(whole, other, strict=True))

    rounds = module._rounds
    singly = list(range(1, 80))
    with monkeypatch.context() as patch:
        patch.setattr(module, "multiply_by_lane", np.matmul)
        by_blas = [results(Forecaster(model, ROWS), model.parameters, inputs, rows, cuts) for cuts in ([], singly)]
    assert not all(np.array_equal(one, two) for one, two in zip(*by_blas, strict=True))
    assert differs("_rounds", lambda rows: reversed(list(rounds(rows))))
    assert not differs("_rounds", rounds)


@pytest.mark.skipif(not compiled.KERNELS, reason="installed without a compiler")
@pytest.mark.parametrize("name", ["lstm", "wide lstm", "lstm without bias"])
def test_the_kernel_and_numpy_agree_to_rounding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, rng = make(name), np.random.default_rng(4)
    inputs, rows = make_inputs(model, rng, 300), make_rows(rng, 300)
    by_kernel, plain = Forecaster(model, ROWS), Forecaster(model, ROWS)
    assert by_kernel._compiled
    plain._compiled = False
    for ours, theirs in zip(
        results(by_kernel, model.parameters, inputs, rows, []),
        results(plain, model.parameters, inputs, rows, []),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [np.exp, np.tanh, multiply_by_lane])
def test_numpys_functions_have_the_same_bits_at_any_length_and_place(
    function: Callable[..., Array], dtype: str
) -> None:
    rng = np.random.default_rng(5)
    x = (4 * rng.standard_normal((6, 70))).astype(dtype)
    matrix = rng.standard_normal((5, 6)).astype(dtype)
    call = (lambda x: multiply_by_lane(matrix, x)) if function is multiply_by_lane else function
    whole = call(x)
    for start in range(20):
        for length in (*range(1, 20), 33, 50):
            np.testing.assert_array_equal(call(x[:, start : start + length]), whole[:, start : start + length])
            part = np.ascontiguousarray(x[:, start : start + length])
            np.testing.assert_array_equal(call(part), whole[:, start : start + length])


def test_what_overflows_comes_out_so_and_stays_with_its_row(way: str) -> None:
    for name in ("lstm", "rnn_relu"):
        model = make(name)
        forecaster = Forecaster(model, ROWS)
        inputs = np.zeros((4, 3), np.float32)
        inputs[1] = np.inf
        outputs = forecaster.forecast(np.full_like(model.parameters, 2), inputs, np.array([0, 1, 2, 1]))
        assert np.isfinite(outputs[[0, 2]]).all()
        assert not np.isfinite(outputs[3]).all() or name == "lstm"
        forecaster.forecast(model.parameters, np.full((1, 3), np.nan, np.float32), np.array([3]))
        assert np.isnan(forecaster.states[0][0][3]).all()
        assert np.isfinite(forecaster.forecast(model.parameters, inputs[:1], np.array([~3]))).all()


def test_states_are_read_and_written_between_calls(way: str) -> None:
    for name in MODELS:
        model, rng = make(name), np.random.default_rng(6)
        inputs, rows = make_inputs(model, rng, 40), make_rows(rng, 40)
        first, second = Forecaster(model, ROWS), Forecaster(model, ROWS)
        first.forecast(model.parameters, inputs, rows)
        for state, copy in zip(first.states, second.states, strict=True):
            for array, other in zip(state, copy, strict=True):
                assert array.shape == (ROWS, array.shape[1])
                other[...] = array
        assert_same(
            results(first, model.parameters, inputs, rows, []), results(second, model.parameters, inputs, rows, [])
        )


def test_inputs_and_rows_may_be_views(way: str) -> None:
    model, rng = make("lstm"), np.random.default_rng(7)
    inputs, rows = make_inputs(model, rng, 30), make_rows(rng, 30)
    plain = results(Forecaster(model, ROWS), model.parameters, inputs, rows, [])
    views = results(Forecaster(model, ROWS), model.parameters, np.asfortranarray(inputs), rows.repeat(2)[::2], [])
    assert_same(views, plain)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_wrong_arguments_are_refused_and_change_nothing(way: str, name: str) -> None:
    model = make(name)
    forecaster, x = Forecaster(model, ROWS), np.ones((2, 3), np.float32)
    right = np.array([0, 1])
    for argument, parameters, inputs, rows in (
        ("parameters", model.parameters[:-1], x, right),
        ("parameters", model.parameters.astype(float), x, right),
        ("inputs", model.parameters, x[:1], right),
        ("inputs", model.parameters, x[:, :2], right),
        ("inputs", model.parameters, x.astype(float), right),
        ("rows", model.parameters, x, right.astype(np.int32)),
        ("rows", model.parameters, x, right[:, None]),
        ("rows", model.parameters, x, np.array([0, ROWS])),
        ("rows", model.parameters, x, np.array([0, ~ROWS])),
        ("rows", model.parameters, x, np.array([2**62, 0])),
    ):
        with pytest.raises(ArgumentError) as error:
            forecaster.forecast(parameters, inputs, rows)
        assert error.value.argument == argument
        assert not any(array.any() for state in forecaster.states for array in state)
    assert forecaster.forecast(model.parameters, x[:0], right[:0]).shape == (0, 2)
    with pytest.raises(ArgumentError, match="rows"):
        Forecaster(model, 0)


@pytest.mark.parametrize("options", [{"bidirectional": True}, {"output": "last"}, {"output": "mean"}])
def test_only_models_that_go_step_by_step_can_forecast(options: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="one direction and one output a step"):
        Forecaster(SequenceModel(input_size=3, output_size=2, hidden_size=4, **options), 3)
