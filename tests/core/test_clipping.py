"""Clipping against torch, and where squares are too large or too small for the dtype."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from recurrio.core import SGD, ArgumentError, MSELoss, SequenceBatch, SequenceModel, clip_norm, clip_value
from recurrio.core.serial import train

DTYPES = [("float32", 1e-5), ("float64", 1e-10)]


@pytest.fixture
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")


def a_gradient(dtype: str) -> np.ndarray:
    """A gradient with zeros in it."""
    rng = np.random.default_rng(3)
    return (rng.normal(size=200) * (rng.random(200) > 0.1)).astype(dtype)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1000.0])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_clip_norm_is_that_of_torch(dtype: str, tolerance: float, max_norm: float, torch: ModuleType) -> None:
    gradient = a_gradient(dtype)
    weight = torch.nn.Parameter(torch.zeros(200, dtype=getattr(torch, dtype)))
    weight.grad = torch.tensor(gradient)
    norm = torch.nn.utils.clip_grad_norm_(weight, max_norm)
    assert clip_norm(gradient, max_norm) == pytest.approx(norm.item(), rel=tolerance)
    np.testing.assert_allclose(gradient, weight.grad.numpy(), rtol=tolerance)


@pytest.mark.parametrize("limit", [0.1, 1, 1000.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_value_is_that_of_torch(dtype: str, limit: float, torch: ModuleType) -> None:
    gradient = a_gradient(dtype)
    gradient[:3] = np.inf, -np.inf, np.nan
    weight = torch.nn.Parameter(torch.zeros(200, dtype=getattr(torch, dtype)))
    weight.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_value_(weight, limit)
    clip_value(gradient, limit)
    np.testing.assert_array_equal(gradient, weight.grad.numpy())


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_raises(limit: float) -> None:
    with pytest.raises(ArgumentError, match="limit: expected a finite number above 0"):
        clip_value(np.ones(3), limit)


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan"), float("inf"), "1", True, np.float32("nan")])
def test_a_norm_that_is_none_raises_and_nothing_is_scaled(max_norm: Any) -> None:  # noqa: ANN401
    gradient = np.ones(3)
    with pytest.raises(ArgumentError, match="max_norm: expected a finite number above 0"):
        clip_norm(gradient, max_norm)
    assert gradient.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (np.ones((2, 2)), r"gradient: expected an array \(N,\), got float64 \(2, 2\)"),
        ([1.0], "gradient: .*, got list"),
        (np.ones(3, int), r"gradient: expected a float32 or float64 array \(N,\), got int64 \(3,\)"),
        (np.ones(3, complex), "gradient: .*, got complex128"),
    ],
)
def test_what_is_no_gradient_is_named(gradient: Any, message: str) -> None:  # noqa: ANN401
    with pytest.raises(ArgumentError, match=f"^{message}"):
        clip_norm(gradient, 1.0)
    with pytest.raises(ArgumentError, match=f"^{message}"):
        clip_value(gradient, 1.0)


EXPONENTS = {
    "float32": [-44, -40, -30, -20, -19, 18, 19, 20, 30, 38],
    "float64": [-320, -200, -162, 153, 155, 200, 306],
}


@pytest.mark.parametrize(("dtype", "exponent"), [(dtype, power) for dtype in EXPONENTS for power in EXPONENTS[dtype]])
@pytest.mark.parametrize("max_norm", [None, 0.5])
def test_the_norm_of_a_finite_gradient_is_right_at_any_magnitude(
    dtype: str, exponent: int, max_norm: float | None
) -> None:
    gradient = np.array([1, -2, 0, 2, 0.5] * 40, dtype) * np.dtype(dtype).type(10.0**exponent)
    exact = math.hypot(*gradient.tolist())
    direction = (gradient / gradient.max()).astype(float)
    before = gradient.copy()
    assert clip_norm(gradient, max_norm) == pytest.approx(exact, rel=1e-5 if dtype == "float32" else 1e-12)
    if max_norm is None or exact < max_norm:
        assert np.array_equal(gradient, before)
        return
    assert math.hypot(*gradient.tolist()) == pytest.approx(max_norm, rel=1e-5)
    np.testing.assert_allclose(gradient / gradient.max(), direction, rtol=1e-5)


def test_many_elements_of_the_largest_size_keep_their_direction() -> None:
    gradient = np.full(1_000_000, 3e38, np.float32)  # a factor of 3e-42 has three digits in float32
    gradient[0] = -3e38
    assert clip_norm(gradient, 1.0) == pytest.approx(3e38 * math.sqrt(1e6), rel=1e-4)
    assert np.linalg.norm(gradient.astype(float)) == pytest.approx(1, rel=1e-4)
    assert gradient[0] == -gradient[1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_plain_norm_keeps_its_bits(dtype: str) -> None:
    for scale in (1e-12, 1e-3, 1, 1e3, 1e12):
        gradient = a_gradient(dtype) * np.dtype(dtype).type(scale)
        expected = math.sqrt(np.dot(gradient, gradient))
        scaled = gradient * min(1, 0.25 / (expected + 1e-6))
        assert clip_norm(gradient, 0.25) == expected
        assert np.array_equal(gradient, scaled)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bad", [[np.inf], [-np.inf, 1], [np.nan], [np.inf, np.nan], [1e30, np.nan]])
def test_a_norm_that_is_not_finite_is_returned_and_nothing_is_scaled(bad: list[float], dtype: str) -> None:
    gradient = np.array([1, *bad], dtype)
    before = gradient.copy()
    norm = clip_norm(gradient, 1.0)
    assert math.isnan(norm) if np.isnan(bad).any() else norm == math.inf
    np.testing.assert_array_equal(gradient, before)


def test_no_gradient_has_the_norm_0() -> None:
    assert clip_norm(np.zeros(3), 1.0) == clip_norm(np.zeros(0), 1.0) == 0


def test_training_goes_on_through_a_huge_gradient() -> None:
    """Its squares have no place in float32, as those of the losses have."""
    model = SequenceModel(input_size=1, output_size=1, hidden_size=4, loss=MSELoss(reduction="sum"), seed=0)
    before = model.parameters.copy()
    x = np.ones((3, 2, 1), np.float32)
    (step,) = train(model, SGD(0.1), [SequenceBatch(x, x * np.float32(-1e19))], clip=1.0)
    assert 1e20 < step.grad_norm < math.inf
    assert np.linalg.norm((model.parameters - before).astype(float)) == pytest.approx(0.1, rel=1e-3)
