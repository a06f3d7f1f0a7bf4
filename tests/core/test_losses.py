"""The losses one by one: their bits, their tails, their totals, and the arguments that they refuse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core.base.checks import ArgumentError
from recurrio.core.losses import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, IntervalLoss, Loss, MSELoss
from recurrio.core.losses.cross_entropy import CrossEntropy
from recurrio.core.losses.table import loss_from_config

Array = np.ndarray
ROWS, F = (4, 3), 5
WEIGHT = (0.5, 2.0, 0.0, 1.0, 3.5)


def gradient(loss: Loss, outputs: Array, targets: Array) -> tuple[float, Array]:
    value, tape = loss.forward(outputs, targets)
    return value, loss.backward(tape)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plain_cross_entropy_keeps_every_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    logits, targets = (rng.standard_normal((7, 40)) * 3).astype(dtype), rng.integers(0, 7, 40, np.int32)
    kernel = CrossEntropy(7, 40, np.dtype(dtype))
    kernel.outputs[...] = logits
    value, d_logits = kernel.forward(targets), kernel.backward(1 / 120)

    # The operations in the order that the class had before it had options.
    shifted = logits - logits.max(axis=0)
    powers = np.exp(shifted)
    sums = powers.sum(axis=0)
    losses = np.log(sums) - shifted[targets, np.arange(40)]
    expected = powers * (1 / 120 / sums)
    expected[targets, np.arange(40)] -= np.dtype(dtype).type(1 / 120)
    assert value == losses.sum(dtype=np.float64)
    assert np.array_equal(d_logits, expected)
    assert d_logits is kernel.outputs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(dtype: str) -> None:
    logits = np.full((2, F), -1e4, dtype)
    logits[:, 1] = 1e4
    value, d_logits = gradient(CrossEntropyLoss(reduction="sum"), logits, np.array([1, 0]))
    assert value == 2e4
    assert d_logits.tolist() == [[0] * F, [-1, 1, 0, 0, 0]]

    value, d_logits = gradient(BCEWithLogitsLoss(reduction="sum"), logits, np.zeros((2, F), dtype))
    assert value == 2e4
    assert d_logits.tolist() == [[0, 1, 0, 0, 0]] * 2
    right = (logits > 0).astype(dtype)
    assert gradient(BCEWithLogitsLoss(reduction="sum"), logits, right)[0] == 0
    assert gradient(BCEWithLogitsLoss(reduction="sum"), logits, 1 - right)[0] == 2 * F * 1e4


def test_the_tails_of_binary_cross_entropy_are_precise() -> None:
    value, d_outputs = gradient(BCEWithLogitsLoss(), np.array([[30]], np.float32), np.array([[1]], np.float32))
    np.testing.assert_allclose([value, -d_outputs.item()], np.exp(-30.0), rtol=1e-5)


def test_a_config_is_plain() -> None:
    weights = np.arange(3, dtype=np.float32)
    assert CrossEntropyLoss(weights, label_smoothing=np.float32(0.5)).config == {
        "loss": "cross_entropy",
        "reduction": "mean",
        "weight": [0.0, 1.0, 2.0],
        "ignore_index": -100,
        "label_smoothing": 0.5,
    }
    assert loss_from_config({"loss": "huber", "delta": 2}) == HuberLoss(delta=2.0)


def test_totals() -> None:
    classes, mask = np.array([[0, 1, 4], [-100, 4, 1]]), np.array([[True, False, True], [True, True, True]])
    assert CrossEntropyLoss().total(classes) == 5
    assert CrossEntropyLoss().total(classes, mask) == 4
    assert CrossEntropyLoss(weight=WEIGHT).total(classes, mask) == 0.5 + 3.5 + 3.5 + 2.0
    assert CrossEntropyLoss(reduction="sum").total(classes, mask) == 1
    values = np.zeros((2, 3, F))
    assert MSELoss().total(values) == 6 * F
    assert MSELoss().total(values, mask) == MSELoss().total(values.T, mask, features=F) == 5 * F
    assert MSELoss(reduction="sum").total(values) == 1


@pytest.mark.parametrize(
    ("make_loss", "message"),
    [
        (lambda: MSELoss(reduction="none"), "reduction: expected 'mean' or 'sum', got 'none'"),
        (lambda: HuberLoss(delta=0), "delta: expected a finite number above 0"),
        (lambda: IntervalLoss(interval=1), "interval: expected a number above 0 and below 1, got 1"),
        (lambda: IntervalLoss().kernel(4, 1, np.dtype("float32")), "outputs: expected three for each target"),
        (lambda: HuberLoss(delta=float("inf")), "delta: .* got inf"),
        (lambda: CrossEntropyLoss(label_smoothing=1.1), "label_smoothing: .* at least 0 and at most 1, got 1.1"),
        (lambda: CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing: .* got -0.1"),
        (lambda: CrossEntropyLoss(ignore_index=1.0), "ignore_index: expected a whole number, got 1.0"),
        (lambda: CrossEntropyLoss(weight=(1, -1)), "weight: expected a finite number of at least 0, got -1"),
        (lambda: CrossEntropyLoss(weight=np.array([1, np.nan])), "weight: .* got nan"),
        (lambda: CrossEntropyLoss(weight=[[1.0]]), "weight: expected a row of numbers"),
        (lambda: CrossEntropyLoss(weight="12"), "weight: expected a row of numbers, got '12'"),
        (lambda: BCEWithLogitsLoss(pos_weight=["1"]), "pos_weight: expected a finite number of at least 0, got '1'"),
        (
            lambda: loss_from_config({}),
            "loss: expected one of cross_entropy, mse, huber, bce_with_logits, interval, ctc, got",
        ),
        (lambda: loss_from_config({"loss": "mae"}), "loss: .* got 'mae'"),
        (
            lambda: loss_from_config({"loss": "mse", "delta": 1}),
            "config: .* mse only reduction, ignore_nan, got 'delta'",
        ),
        (lambda: loss_from_config({"loss": "huber", "delta": -1}), "delta: .* got -1"),
    ],
)
def test_options_out_of_range(make_loss: Callable[[], Loss], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_loss()


Z, CLASSES, VALUES = np.zeros((2, 3, F)), np.zeros((2, 3), int), np.zeros((2, 3, F))


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        (CrossEntropyLoss(), (Z, CLASSES[0]), r"targets: expected an array \(2, 3\), got int64 \(3,\)"),
        (CrossEntropyLoss(), (Z, VALUES), r"targets: expected an array \(2, 3\), got float64 \(2, 3, 5\)"),
        (
            CrossEntropyLoss(),
            (Z, CLASSES.astype(float)),
            r"targets: expected an array of integers, got float64 \(2, 3\)",
        ),
        (CrossEntropyLoss(), (Z, CLASSES > 0), "targets: expected an array of integers, got bool"),
        (CrossEntropyLoss(), (Z, CLASSES.tolist()), "targets: .* got list"),
        (
            CrossEntropyLoss(),
            (Z, CLASSES + F),
            r"targets: expected classes in 0…4, or -100 to ignore, got 5 at \(0, 0\)",
        ),
        (CrossEntropyLoss(), (Z, CLASSES - 1), "targets: .* got -1"),
        (CrossEntropyLoss(weight=(1, 2)), (Z, CLASSES), "weight: expected 5 numbers, one for each output .* got 2"),
        (CrossEntropyLoss(), (Z, CLASSES, CLASSES), r"mask: expected a bool array \(2, 3\), got int64 \(2, 3\)"),
        (CrossEntropyLoss(), (Z, CLASSES, np.ones(3, bool)), r"mask: expected a bool array \(2, 3\), got bool \(3,\)"),
        (CrossEntropyLoss(), (Z[:0], CLASSES[:0]), r"outputs: expected at least one column .* got \(0, 3, 5\)"),
        (CrossEntropyLoss(), (Z.astype(int), CLASSES), "outputs: expected a float32 or float64 array .* got int64"),
        (CrossEntropyLoss(), (Z.tolist(), CLASSES), "outputs: .* got list"),
        (MSELoss(), (Z, CLASSES), r"targets: expected a float64 array \(2, 3, 5\), got int64 \(2, 3\)"),
        (MSELoss(), (Z, VALUES[..., :1]), r"targets: .* got float64 \(2, 3, 1\)"),
        (HuberLoss(), (Z, VALUES.astype(np.float32)), r"targets: expected a float64 .* got float32"),
        (MSELoss(), (Z, VALUES, np.ones(Z.shape, bool)), r"mask: expected a bool array \(2, 3\), got bool \(2, 3, 5\)"),
        (MSELoss(), (Z[..., :0], VALUES[..., :0]), r"outputs: .* one feature, got \(2, 3, 0\)"),
        (BCEWithLogitsLoss(pos_weight=(1, 2)), (Z, VALUES), "pos_weight: expected 5 numbers, .* got 2"),
    ],
)
def test_arguments_that_do_not_fit(loss: Loss, arguments: tuple[Array, ...], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        loss.forward(*arguments)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "uint64"])
def test_any_integer_dtype_and_any_rank(dtype: str) -> None:
    outputs = np.random.default_rng(0).standard_normal((*ROWS, F)) * 2
    targets = np.array([[4, 3, 2], [1, 0, 1], [2, 3, 4], [3, 2, 1]])
    expected = CrossEntropyLoss().forward(outputs, targets)[0]
    assert CrossEntropyLoss().forward(outputs, targets.astype(dtype))[0] == expected
    single = [CrossEntropyLoss().forward(outputs[at], np.array(targets[at], dtype))[0] for at in np.ndindex(ROWS)]
    np.testing.assert_allclose(np.mean(single), expected, rtol=1e-12)
