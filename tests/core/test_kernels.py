"""The compiled kernels: what they compute, with each of the instructions that this processor has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernels import with_level

from recurrio.core import LSTM, SGD, Adam, AdamW, MSELoss, SequenceBatch, SequenceModel
from recurrio.core.base import compiled
from recurrio.core.base.arena import Arena
from recurrio.core.base.columns import copy_columns, copy_matrix
from recurrio.core.base.product import bind_product, empty_weights, multiply
from recurrio.core.serial import train

kernels = pytest.importorskip("recurrio.core._kernels", reason="installed without a compiler")
WITH_PRODUCT = [level for level in kernels.INSTRUCTIONS if level != "plain"]
Array = np.ndarray


@pytest.fixture(params=kernels.INSTRUCTIONS)
def level(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The kernels of each level in turn."""
    monkeypatch.setattr(compiled, "KERNELS", kernels.use(request.param))
    yield request.param
    kernels.use(compiled.INSTRUCTIONS)


def chain(weights: Array, x: Array) -> Array:
    """The product with each sum in order and rounded once a step; float64 holds a product of float32 exactly."""
    total = np.zeros((len(weights), x.shape[1]), np.float32)
    for start in range(0, len(x), 512):
        sums = np.zeros_like(total)
        for k in range(start, min(start + 512, len(x))):
            sums = (sums + np.multiply.outer(weights[:, k].astype(float), x[k].astype(float))).astype(np.float32)
        total += sums
    return total


def strided(rng: np.random.Generator, rows: int, columns: int, padding: int, transposed: bool) -> Array:
    shape = (columns, rows + padding) if transposed else (rows, columns + padding)
    array = rng.standard_normal(shape, np.float32)
    return array[:, :rows].T if transposed else array[:, :columns]


@settings(deadline=None, max_examples=150)
@given(
    rows=st.integers(1, 70),
    depth=st.one_of(st.integers(1, 40), st.sampled_from([511, 512, 513, 1100])),
    columns=st.one_of(st.integers(1, 70), st.sampled_from([127, 128, 129, 137, 300])),
    padding=st.integers(0, 3),
    transposed=st.booleans(),
    seed=st.integers(0, 99),
)
@pytest.mark.skipif(not WITH_PRODUCT, reason="the processor has no AVX2")
def test_a_product_is_in_chains_of_fused_multiply_adds(
    rows: int, depth: int, columns: int, padding: int, transposed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = strided(rng, rows, depth, padding, transposed)
    x, out = strided(rng, depth, columns, padding, False), strided(rng, rows, columns, padding, False)
    around = out.base
    assert around is not None
    before = around.copy()
    expected = chain(weights, x)
    for level in WITH_PRODUCT:
        out.fill(np.nan)
        with_level(level, "product", weights, x, out)
        # Rounding float64 to float32 is a second rounding, which in rare cases ends one bit beside.
        np.testing.assert_allclose(out, expected, rtol=0, atol=3e-7 * np.abs(weights).sum(axis=1).max())
    np.testing.assert_array_equal(around[:, columns:], before[:, columns:])  # nothing beside it is written


@pytest.mark.skipif(not WITH_PRODUCT, reason="the processor has no AVX2")
def test_the_bits_of_a_column_do_not_depend_on_the_others_nor_on_the_instructions() -> None:
    rng = np.random.default_rng(0)
    weights, x = rng.standard_normal((43, 600), np.float32), rng.standard_normal((600, 300), np.float32)
    whole = np.empty((43, 300), np.float32)
    with_level(WITH_PRODUCT[0], "product", weights, x, whole)
    assert not np.array_equal(whole, weights @ x)  # NumPy's bits are others, so equality says something
    for level in WITH_PRODUCT:
        for order in (weights, np.asfortranarray(weights)):
            for lanes in (1, 3, 8, 16, 32, 40, 61, 128, 300):
                for columns in (x[:, :lanes], x[:, :lanes].copy()):  # one in one piece was once rounded otherwise
                    out = np.empty((43, lanes), np.float32)
                    with_level(level, "product", order, columns, out)
                    np.testing.assert_array_equal(out, whole[:, :lanes])


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (7, 9), (8, 8), (16, 40), (33, 65), (128, 50)])
def test_transposing(level: str, rows: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((rows, columns + 3), np.float32)[:, :columns]
    out = np.full((columns + 1, rows + 2), 7, np.float32)
    with_level(level, "transpose", values, out[:columns, :rows])
    np.testing.assert_array_equal(out[:columns, :rows], values.T)
    assert (out[columns:] == 7).all()
    assert (out[:, rows:] == 7).all()


@pytest.mark.parametrize("source", ["users", "rows", "users, B first", "halves", "unaligned"])
@pytest.mark.parametrize("target", ["users", "rows", "users, B first", "halves"])
def test_columns_are_copied_from_any_layout_to_any(level: str, source: str, target: str) -> None:
    def empty(layout: str) -> Array:
        features, steps, lanes = 12, 5, 9
        if layout == "users":
            return np.empty((steps, lanes, features), np.float32).transpose(2, 0, 1)
        if layout == "users, B first":
            return np.empty((lanes, steps, features), np.float32).transpose(2, 1, 0)
        if layout == "halves":
            return np.empty((steps, lanes, 2 * features), np.float32)[:, :, features:].transpose(2, 0, 1)
        if layout == "unaligned":
            fields = np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [1], "itemsize": 5})
            return np.empty((features, steps, lanes), fields)["x"]
        return np.empty((features, steps + 1, lanes), np.float32)[:, :steps]

    values, out = empty(source), empty(target)
    values[...] = np.random.default_rng(0).standard_normal(values.shape)
    values.flags.writeable = False
    out.fill(0)
    copy_columns(values, out)
    np.testing.assert_array_equal(out, values)
    copy_matrix(values[:, 0], out[:, 1])
    np.testing.assert_array_equal(out[:, 1], values[:, 0])


def activations(level: str, z: Array) -> tuple[Array, Array]:
    """σ(z) and tanh(z), as they come out of an LSTM's step."""
    U, B = z.shape
    gates = np.concatenate((-z, -z, -z, z))
    cell, next_cell, cell_tanh, hidden, output = (np.zeros((U, B), np.float32) for _ in range(5))
    with_level(level, "lstm_forward", gates, cell, next_cell, cell_tanh, hidden, output)
    return gates[:U], gates[3 * U :]


@pytest.mark.parametrize("level", kernels.INSTRUCTIONS)
def test_the_activations_are_right_to_a_few_bits_over_all_magnitudes(level: str) -> None:
    bits = np.arange(0, 0x7F800000, 997, dtype=np.uint32)  # a value in 997, of all that are positive and finite
    z = bits[: len(bits) // 64 * 64].view(np.float32).reshape(-1, 64)
    for signed in (z, -z):
        sigmoid, tanh = activations(level, signed)
        exact = np.tanh(signed.astype(np.float64))
        error = np.abs(tanh - exact)
        normal = np.abs(exact) > 1e-37
        assert (error[normal] <= 4e-7 * np.abs(exact[normal])).all()
        assert (error[~normal] <= 1e-44).all()
        assert np.abs(tanh).max() <= 1
        assert np.abs(sigmoid - (0.5 + 0.5 * np.tanh(0.5 * signed.astype(np.float64)))).max() < 2e-7
        assert sigmoid.min() >= 0
        assert sigmoid.max() <= 1


@pytest.mark.parametrize("level", kernels.INSTRUCTIONS)
def test_nan_in_is_nan_out_and_gates_close_and_open(level: str) -> None:
    z = np.array([[np.nan, np.inf, 3e38, 20, -20, -3e38, -np.inf]], np.float32).repeat(9, 0)
    sigmoid, tanh = activations(level, z)
    np.testing.assert_array_equal(sigmoid, [[np.nan, 1, 1, 1, 0, 0, 0]] * 9)
    np.testing.assert_array_equal(tanh, [[np.nan, 1, 1, 1, -1, -1, -1]] * 9)


@settings(deadline=None, max_examples=40)
@given(
    steps=st.integers(1, 5),
    lanes=st.integers(1, 34),
    hidden=st.integers(1, 40),
    masked=st.booleans(),
    seed=st.integers(0, 99),
)
def test_an_lstm_is_that_of_numpy(steps: int, lanes: int, hidden: int, masked: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, d_output = (rng.standard_normal((steps, lanes, units), np.float32) for units in (3, hidden))
    state = tuple(rng.standard_normal((1, lanes, hidden), np.float32) for _ in range(2))
    d_state = tuple(rng.standard_normal((1, lanes, hidden), np.float32) for _ in range(2))
    masks = {}
    if masked:
        masks = {"lengths": rng.integers(0, steps + 1, lanes), "reset": rng.random((steps, lanes)) < 0.3}

    def results() -> list[Array]:
        layer = LSTM(3, hidden, seed=0)
        output, last, tape = layer.forward(x, state, **masks)
        d_x, d_first, gradients = layer.backward(tape, d_output, d_state)
        return [output, *last, d_x, *d_first, *gradients.values()]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "KERNELS", ())
        expected = results()
    for level in kernels.INSTRUCTIONS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "KERNELS", kernels.use(level))
            for ours, numpys in zip(results(), expected, strict=True):
                np.testing.assert_allclose(ours, numpys, rtol=0, atol=1e-5 * (1 + np.abs(numpys).max()))
    kernels.use(compiled.INSTRUCTIONS)


@pytest.mark.parametrize("decay", [0, 0.1])
@pytest.mark.parametrize("optimizer", [Adam, AdamW])
def test_adam_is_that_of_numpy(
    level: str, optimizer: type[Adam], decay: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    start, steps = rng.standard_normal(1003, np.float32), rng.standard_normal((20, 1003)).astype(np.float32)

    def run(stride: int) -> list[Array]:
        ours, (parameters, out) = (
            optimizer(0.01, weight_decay=decay),
            np.empty((2, 1003 * stride), np.float32)[:, ::stride],
        )
        parameters[...] = start
        for gradient in steps:
            ours.step(parameters, gradient, out)
            parameters, out = out, parameters
        return [parameters, *ours.slots.values()]

    by_kernel, strided = run(1), run(2)  # which the kernel does not take
    monkeypatch.setattr(compiled, "KERNELS", ())
    for ours, others, numpys in zip(by_kernel, strided, run(1), strict=True):
        np.testing.assert_allclose(ours, numpys, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(others, numpys)


@pytest.mark.parametrize("size", [1, 5, 37])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30, 3.0])
@pytest.mark.parametrize("where", ["parameters", "gradient", "mean", "square"])
@np.errstate(over="ignore", invalid="ignore")
def test_adam_says_whether_all_that_it_wrote_is_finite(level: str, where: str, value: float, size: int) -> None:
    for place in range(size):
        optimizer, vectors = Adam(0.01), {name: np.ones(size, np.float32) for name in ("parameters", "gradient")}
        optimizer.step(vectors["parameters"], vectors["gradient"])
        (vectors | optimizer.slots)[where][place] = value
        optimizer.step(**vectors)
        written = [vectors["parameters"], *optimizer.slots.values()]
        assert optimizer.is_finite(vectors["parameters"]) == all(np.isfinite(array).all() for array in written)


@pytest.mark.skipif(not WITH_PRODUCT, reason="the processor has no AVX2")
@pytest.mark.parametrize("hidden", [7, 32])
def test_a_lane_has_the_same_bits_alone_and_among_others(hidden: int) -> None:
    rng = np.random.default_rng(0)
    layer = LSTM(5, hidden, num_layers=2, seed=0)
    x, d_output = (rng.standard_normal((9, 37, units), np.float32) for units in (5, hidden))

    def results(lanes: list[int]) -> list[Array]:
        output, (h_n, c_n), tape = layer.forward(x[:, lanes])
        return [output, h_n, c_n, layer.backward(tape, d_output[:, lanes])[0]]

    together = results(list(range(37)))
    for lanes in ([0], [36], [1, 2], [30, 3, 20], list(range(8)), list(range(4, 25))):
        for ours, whole in zip(results(lanes), together, strict=True):
            np.testing.assert_array_equal(ours, whole[:, lanes])


def test_a_product_is_numpys_where_there_is_no_kernel(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        for lanes in (1, 5, 8):
            weights = empty_weights(6, 4, lanes, np.dtype(dtype), Arena())
            weights[...] = rng.standard_normal((6, 4))
            x, out = rng.standard_normal((4, lanes)).astype(dtype), np.empty((6, lanes), dtype)
            multiply(weights, x, out)
            np.testing.assert_allclose(out, weights @ x, rtol=1e-5, atol=1e-5)
            call = bind_product(weights, x, out)
            x *= 2
            call()  # of what is in the arrays now
            np.testing.assert_allclose(out, weights @ x, rtol=1e-5, atol=1e-5)


def test_long_sums_stay_precise() -> None:
    ones = np.full((8, 1 << 16), 1.1, np.float32)
    x, out = np.ones((1 << 16, 8), np.float32), np.empty((8, 8), np.float32)
    multiply(ones, x, out)
    exact = float(np.float32(1.1)) * (1 << 16)
    assert abs(out - exact).max() < 1e-5 * exact


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_one_feature_and_one_lane_are_enough(dtype: str) -> None:
    for layers in (1, 2):
        layer = LSTM(1, 8, num_layers=layers, bidirectional=True, dtype=dtype, seed=0)
        _, _, tape = layer.forward(np.ones((2, 1, 1), dtype))
        d_x, _, _ = layer.backward(tape, np.ones((2, 1, 16), dtype))
        assert np.isfinite(d_x).all()
    batch = SequenceBatch(np.ones((2, 1, 1), dtype), np.ones((2, 1, 1), dtype))
    one, two, same = (
        SequenceModel(input_size=1, hidden_size=6, output_size=1, loss=MSELoss(), dtype=dtype, seed=0) for _ in range(3)
    )
    for trained, ranks in ((one, 1), (two, 3)):
        list(train(trained, SGD(0.1), [batch] * 3, ranks=ranks))
    np.testing.assert_allclose(one.parameters, two.parameters, rtol=1e-5, atol=1e-6)
    assert not np.array_equal(one.parameters, same.parameters)
