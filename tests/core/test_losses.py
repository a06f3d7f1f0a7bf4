"""The losses: against torch, against their own slope, and what masks, nothing and nonsense do to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from recurrio.core.base.checks import ArgumentError
from recurrio.core.gradcheck import directional_error
from recurrio.core.losses.cross_entropy import CrossEntropy
from recurrio.core.losses.loss import (
    LOSSES,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    Loss,
    MSELoss,
    loss_from_config,
)

Array = np.ndarray
ROWS, F = (4, 3), 5
WEIGHT = (0.5, 2.0, 0.0, 1.0, 3.5)
ALL = [
    CrossEntropyLoss(),
    CrossEntropyLoss(weight=WEIGHT),
    CrossEntropyLoss(ignore_index=2),
    CrossEntropyLoss(label_smoothing=0.1),
    CrossEntropyLoss(label_smoothing=1.0),
    CrossEntropyLoss(weight=WEIGHT, ignore_index=-1, label_smoothing=0.3),
    MSELoss(),
    HuberLoss(),
    HuberLoss(delta=0.3),
    BCEWithLogitsLoss(),
    BCEWithLogitsLoss(pos_weight=WEIGHT),
]
TOLERANCES = [("float32", 1e-5), ("float64", 1e-10)]


def label(loss: object) -> str:
    return str(loss) if isinstance(loss, Loss) else ""


every_loss = pytest.mark.parametrize("loss", ALL, ids=label)
both_reductions = pytest.mark.parametrize("reduction", ["mean", "sum"])


def make(loss: Loss, dtype: str = "float64", seed: int = 0) -> tuple[Array, Array, Array]:
    """Outputs, targets and a mask. Two of the class targets are ignored; no Huber difference is near a kink."""
    rng = np.random.default_rng(seed)
    outputs, mask = rng.standard_normal((*ROWS, F)) * 2, rng.random(ROWS) < 0.6
    mask.flat[:2] = True, False
    if isinstance(loss, CrossEntropyLoss):
        targets = rng.integers(0, F, ROWS)
        targets[0, 0] = targets[2, 1] = loss.ignore_index
        return outputs.astype(dtype), targets, mask
    if isinstance(loss, BCEWithLogitsLoss):
        targets = rng.random((*ROWS, F))
    else:
        targets = outputs - rng.choice([-2.1, -0.6, -0.1, 0.2, 1.7], (*ROWS, F)) - rng.uniform(0, 0.05, (*ROWS, F))
    return outputs.astype(dtype), targets.astype(dtype), mask


def gradient(loss: Loss, outputs: Array, targets: Array, mask: Array | None = None) -> tuple[float, Array]:
    value, tape = loss.forward(outputs, targets, mask)
    return value, loss.backward(tape)


def by_torch(loss: Loss, outputs: Array, targets: Array) -> tuple[float, Array]:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    functions = torch.nn.functional
    z, y = torch.tensor(outputs, requires_grad=True), torch.tensor(targets)

    def row(values: tuple[float, ...] | None) -> object:
        return None if values is None else torch.tensor(values, dtype=z.dtype)

    match loss:
        case CrossEntropyLoss():
            value = functions.cross_entropy(
                z.reshape(-1, F),
                y.reshape(-1),
                weight=row(loss.weight),
                ignore_index=loss.ignore_index,
                label_smoothing=loss.label_smoothing,
                reduction=loss.reduction,
            )
        case MSELoss():
            value = functions.mse_loss(z, y, reduction=loss.reduction)
        case HuberLoss():
            value = functions.huber_loss(z, y, delta=loss.delta, reduction=loss.reduction)
        case BCEWithLogitsLoss():
            value = functions.binary_cross_entropy_with_logits(
                z, y, pos_weight=row(loss.pos_weight), reduction=loss.reduction
            )
    value.backward()
    return value.item(), z.grad.numpy()


@every_loss
@both_reductions
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_value_and_gradient_are_torchs(loss: Loss, reduction: str, dtype: str, tolerance: float) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, _ = make(loss, dtype)
    value, d_outputs = gradient(loss, outputs, targets)
    expected, d_expected = by_torch(loss, outputs, targets)
    assert d_outputs.dtype == dtype
    assert d_outputs.flags.c_contiguous
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    np.testing.assert_allclose(d_outputs, d_expected, rtol=tolerance, atol=tolerance)


@every_loss
@both_reductions
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_a_mask_is_as_torch_on_the_chosen_rows(loss: Loss, reduction: str, dtype: str, tolerance: float) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, mask = make(loss, dtype)
    value, d_outputs = gradient(loss, outputs, targets, mask)
    expected, d_expected = by_torch(loss, outputs[mask], targets[mask])
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    np.testing.assert_allclose(d_outputs[mask], d_expected, rtol=tolerance, atol=tolerance)
    assert not d_outputs[~mask].any()


@every_loss
@both_reductions
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("plant", [False, True])
def test_the_gradient_is_the_slope(loss: Loss, reduction: str, masked: bool, plant: bool) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, mask = make(loss)
    chosen = mask if masked else None
    d_outputs = gradient(loss, outputs, targets, chosen)[1]
    if plant:
        d_outputs.flat[np.abs(d_outputs).argmax()] *= 1.01
    error = directional_error(
        lambda: loss.forward(outputs, targets, chosen)[0], outputs, d_outputs, rng=np.random.default_rng(1)
    )
    assert (error > 1e-6) if plant else (error < 1e-6)


@every_loss
@both_reductions
def test_shards_add_up_to_the_whole(loss: Loss, reduction: str) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, mask = make(loss)
    value, d_outputs = gradient(loss, outputs, targets, mask)
    total, summed = loss.total(targets, mask, features=F), 0.0
    for lane in range(ROWS[1]):
        kernel = loss.kernel(F, ROWS[0], np.dtype("float64"))
        kernel.outputs[...] = outputs[:, lane].T
        summed += kernel.forward(targets[:, lane].T, mask[:, lane]) / total
        np.testing.assert_allclose(kernel.backward(1 / total).T, d_outputs[:, lane], rtol=1e-12)
    np.testing.assert_allclose(summed, value, rtol=1e-12)


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


@every_loss
@both_reductions
def test_where_nothing_counts_there_is_no_loss_and_no_gradient(loss: Loss, reduction: str) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, mask = make(loss)
    nothing = np.zeros_like(mask)
    value, d_outputs = gradient(loss, np.full_like(outputs, np.nan), targets, nothing)
    assert (value, loss.total(targets, nothing)) == (0, 1)
    assert not d_outputs.any()
    if isinstance(loss, CrossEntropyLoss):
        value, d_outputs = gradient(loss, outputs, np.full_like(targets, loss.ignore_index))
        assert value == 0
        assert not d_outputs.any()


@every_loss
@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(data=strategies.data())
def test_what_is_masked_never_matters(loss: Loss, data: strategies.DataObject) -> None:
    outputs, targets, _ = make(loss, data.draw(strategies.sampled_from(["float32", "float64"])))
    mask = data.draw(arrays.arrays(bool, ROWS))
    value, d_outputs = gradient(loss, outputs, targets, mask)
    hidden = ~mask
    outputs[hidden] = data.draw(arrays.arrays(outputs.dtype, outputs[hidden].shape))
    targets[hidden] = data.draw(arrays.arrays(targets.dtype, targets[hidden].shape))
    again, d_again = gradient(loss, outputs, targets, mask)
    assert again == loss(outputs, targets, mask) == value
    assert np.array_equal(d_again, d_outputs)
    assert not d_again[hidden].any()


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_comes_out_so_and_stays_in_its_column(loss: Loss, bad: float) -> None:
    outputs, targets, _ = make(loss)
    targets = np.where(targets == 0, 1, targets) if isinstance(loss, CrossEntropyLoss) else targets
    before = gradient(loss, outputs, targets)[1]
    outputs[1, 1, 0] = bad
    value, d_outputs = gradient(loss, outputs, targets)
    assert not np.isfinite(value)
    elsewhere = np.ones(ROWS, bool)
    elsewhere[1, 1] = False
    assert np.array_equal(d_outputs[elsewhere], before[elsewhere])


@every_loss
def test_two_batches_may_be_in_flight(loss: Loss) -> None:
    batches = [make(loss, seed=seed) for seed in (1, 2)]
    tapes = [loss.forward(*batch)[1] for batch in batches]
    for batch, tape in zip(batches, tapes, strict=True):
        assert np.array_equal(loss.backward(tape), gradient(loss, *batch)[1])
    with pytest.raises(ArgumentError, match="tape: expected the tape of a new forward, got one that was used before"):
        loss.backward(tapes[0])
    with pytest.raises(ArgumentError, match="tape: expected what forward returned, got tuple"):
        loss.backward(loss.forward(*batches[0]))


@every_loss
def test_the_arguments_stay_as_they_are(loss: Loss) -> None:
    batch = make(loss)
    copies = [array.copy() for array in batch]
    gradient(loss, *batch)
    for array, copy in zip(batch, copies, strict=True):
        assert np.array_equal(array, copy)


@every_loss
@both_reductions
def test_a_loss_goes_through_json(loss: Loss, reduction: str) -> None:
    loss = replace(loss, reduction=reduction)
    again = loss_from_config(json.loads(json.dumps(loss.config)))
    assert again == loss
    assert hash(again) == hash(loss)


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
    assert {loss.name for loss in ALL} == set(LOSSES)


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
        (lambda: HuberLoss(delta=float("inf")), "delta: .* got inf"),
        (lambda: CrossEntropyLoss(label_smoothing=1.1), "label_smoothing: .* at least 0 and at most 1, got 1.1"),
        (lambda: CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing: .* got -0.1"),
        (lambda: CrossEntropyLoss(ignore_index=1.0), "ignore_index: expected a whole number, got 1.0"),
        (lambda: CrossEntropyLoss(weight=(1, -1)), "weight: expected a finite number of at least 0, got -1"),
        (lambda: CrossEntropyLoss(weight=np.array([1, np.nan])), "weight: .* got nan"),
        (lambda: CrossEntropyLoss(weight=[[1.0]]), "weight: expected a row of numbers"),
        (lambda: CrossEntropyLoss(weight="12"), "weight: expected a row of numbers, got '12'"),
        (lambda: BCEWithLogitsLoss(pos_weight=["1"]), "pos_weight: expected a finite number of at least 0, got '1'"),
        (lambda: loss_from_config({}), "loss: expected one of cross_entropy, mse, huber, bce_with_logits, got None"),
        (lambda: loss_from_config({"loss": "mae"}), "loss: .* got 'mae'"),
        (lambda: loss_from_config({"loss": "mse", "delta": 1}), "config: expected for mse only reduction, got 'delta'"),
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
    outputs = make(MSELoss())[0]
    targets = np.array([[4, 3, 2], [1, 0, 1], [2, 3, 4], [3, 2, 1]])
    expected = CrossEntropyLoss().forward(outputs, targets)[0]
    assert CrossEntropyLoss().forward(outputs, targets.astype(dtype))[0] == expected
    single = [CrossEntropyLoss().forward(outputs[at], np.array(targets[at], dtype))[0] for at in np.ndindex(ROWS)]
    np.testing.assert_allclose(np.mean(single), expected, rtol=1e-12)
