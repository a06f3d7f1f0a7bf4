"""The kernels that do what NumPy does, to the bit: weights in order, losses; and arrays of indices."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided
from support.kernels import with_level

from recurrio.core import HuberLoss, MSELoss
from recurrio.core.base import compiled
from recurrio.core.losses.elementwise import huber, squared
from recurrio.core.losses.loss import Loss

kernels = pytest.importorskip("recurrio.core._kernels", reason="installed without a compiler")
Array = np.ndarray
levels = st.sampled_from(kernels.INSTRUCTIONS)


def same_bits(one: Array, other: Array) -> None:
    """NaN is NaN, whatever is in it."""
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(np.signbit(one[~np.isnan(one)]), np.signbit(other[~np.isnan(other)]))


@settings(deadline=None, max_examples=80)
@given(
    level=levels,
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    padding=st.integers(0, 3),
    turned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_rows_times_factors(level: str, rows: int, columns: int, padding: int, turned: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((rows, columns + padding), np.float32)[:, :columns]
    factors = rng.choice(np.array([-1, 1, 0.3], np.float32), (rows, 1))
    whole = np.full((columns, rows + padding) if turned else (rows, columns + padding), 7, np.float32)
    out = whole[:, :rows].T if turned else whole[:, :columns]
    with_level(level, "scale", values, factors, out)
    same_bits(out, values * factors)
    assert (whole[:, rows if turned else columns :] == 7).all()


@settings(deadline=None, max_examples=80)
@given(
    level=levels,
    features=st.integers(1, 3),
    columns=st.integers(1, 50),
    delta=st.sampled_from([0.1, 1.0, 1e30]),
    turned=st.booleans(),
    seed=st.integers(0, 99),
)
def test_losses_are_numpys_to_the_bit(
    level: str, features: int, columns: int, delta: float, turned: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    outputs = (rng.standard_normal((features, columns)) * 2).astype(np.float32)
    targets = rng.standard_normal((columns, features) if turned else (features, columns), np.float32)
    targets = targets.T if turned else targets
    odd = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, 0, -0.0, 1e-40, 1e20], np.float32)
    outputs = np.where(rng.random(outputs.shape) < 0.3, rng.choice(odd, outputs.shape), outputs)
    targets[...] = np.where(rng.random(outputs.shape) < 0.2, rng.choice(odd, outputs.shape), targets)
    cases = (("squared", squared, []), ("huber", partial(huber, delta), [np.array([delta], np.float32)]))
    for kernel, rule, numbers in cases:
        (ours, expected), (losses, wanted) = [outputs.copy(), outputs.copy()], np.empty((2, *outputs.shape), np.float32)
        with_level(level, kernel, ours, targets, losses, *numbers)
        with np.errstate(all="ignore"):
            rule(expected, targets, wanted)
        same_bits(ours, expected)
        same_bits(losses, wanted)


@pytest.mark.parametrize("loss", [MSELoss(), HuberLoss(0.5)])
@pytest.mark.parametrize("masked", [False, True])
def test_a_loss_has_the_same_bits_without_the_kernels(
    loss: Loss, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    outputs, targets = rng.standard_normal((2, 9, 5, 3)).astype(np.float32)
    unaligned = np.zeros(targets.shape, np.dtype({"names": ["x"], "formats": ["<f4"], "offsets": [1], "itemsize": 5}))
    unaligned["x"] = targets
    mask = rng.random((9, 5)) < 0.7 if masked else None

    def results(targets: Array) -> tuple[float, Array]:
        value, tape = loss.forward(outputs, targets, mask)
        return value, loss.backward(tape)

    found = [results(targets), results(unaligned["x"])]
    monkeypatch.setattr(compiled, "KERNELS", [])
    found.append(results(targets))
    for value, gradient in found:
        assert value == found[0][0]
        assert np.array_equal(gradient, found[0][1])


def forecast_arrays(rows: object) -> tuple[object, ...]:
    def zeros(*shape: int) -> Array:
        return np.zeros(shape, np.float32)

    U, I, n, K = 3, 2, 4, 7
    inputs, matrix, head, table = zeros(n, I) + 1, zeros(4 * U, K) + 0.1, zeros(1, 1 + U) + 1, zeros(9, 2 * U)
    return inputs, zeros(K, 4 * U), rows, matrix, head, table, zeros(n, 1), zeros(K + 8 * U + 16 * (U + 2) + 1)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_indices_are_of_four_or_of_eight_bytes_with_any_stride(dtype: type) -> None:
    rows = np.array([5, ~2, 5, 0], dtype)
    expected = None
    for some in (rows, rows[None], rows.repeat(3)[::3], rows[::-1].copy()[::-1], rows.astype(np.int64)):
        arrays = forecast_arrays(some)
        kernels.bind("forecast", *arrays)()
        table, outputs = arrays[5], arrays[6]
        assert isinstance(table, Array)
        assert set(np.flatnonzero(table.any(axis=1))) == {0, 2, 5}
        expected = outputs if expected is None else expected
        np.testing.assert_array_equal(outputs, expected)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros(4, np.float32),
        np.zeros(4, np.int16),
        np.zeros(4, np.uint32),
        np.zeros(4, ">i8"),
        np.zeros(4, bool),
        np.zeros(3, np.int64),
        np.zeros((4, 1), np.int64),
        np.zeros((1, 1, 4), np.int64),
    ],
)
def test_other_indices_are_not_bound(rows: Array) -> None:
    with pytest.raises(ValueError, match=r"expected arrays .* of int32 or int64|do not fit"):
        kernels.bind("forecast", *forecast_arrays(rows))


def test_a_vector_is_one_row() -> None:
    values, out = np.arange(5, dtype=np.float32), np.zeros((5, 1), np.float32)
    kernels.bind("transpose", values, out)()
    np.testing.assert_array_equal(out[:, 0], values)


def test_what_is_written_may_lie_by_columns_but_not_one_over_the_other() -> None:
    values, ones, memory = np.ones((3, 4), np.float32), np.ones((3, 1), np.float32), np.zeros(60, np.float32)
    kernels.bind("scale", values, ones, as_strided(memory, (3, 4), (4, 12)))()
    assert memory[:12].all()
    for strides in ((4, 8), (4, 0), (0, 4), (4, 4), (8, 4)):
        with pytest.raises(ValueError, match="overlaps itself"):
            kernels.bind("scale", values, ones, as_strided(memory, (3, 4), strides))
