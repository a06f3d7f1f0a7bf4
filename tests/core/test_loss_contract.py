"""The contract of a loss: every one goes through every check. A new one is a few more rows in `ALL`."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from recurrio import core
from recurrio.core.base.checks import ArgumentError
from recurrio.core.gradcheck import directional_error
from recurrio.core.losses import (
    LOSSES,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    CTCLoss,
    HuberLoss,
    IntervalLoss,
    Loss,
    MSELoss,
)
from recurrio.core.losses.table import loss_from_config

Array = np.ndarray
ROWS, F = (4, 3), 6
WEIGHT = (0.5, 2.0, 0.0, 1.0, 3.5, 1.0)
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
    IntervalLoss(),
    IntervalLoss(interval=0.5, delta=0.3, ignore_nan=True),
    MSELoss(ignore_nan=True),
    HuberLoss(delta=0.3, ignore_nan=True),
    BCEWithLogitsLoss(pos_weight=WEIGHT, ignore_nan=True),
    CTCLoss(),
    CTCLoss(blank=5),
]
TOLERANCES = [("float32", 1e-5), ("float64", 1e-10)]


def label(loss: object) -> str:
    return str(loss) if isinstance(loss, Loss) else ""


every_loss = pytest.mark.parametrize("loss", ALL, ids=label)
both_reductions = pytest.mark.parametrize("reduction", ["mean", "sum"])


def make(loss: Loss, dtype: str = "float64", seed: int = 0) -> tuple[Array, Array, Array]:
    """Outputs, targets and a mask. Two of the class targets are ignored; no Huber difference is near a kink.

    Of the three lanes of labels one has two that are the same, for which the mask leaves no room, and one has none.
    """
    rng = np.random.default_rng(seed)
    outputs, mask = rng.standard_normal((*ROWS, F)) * 2, rng.random(ROWS) < 0.6
    mask.flat[:2] = True, False
    if isinstance(loss, CrossEntropyLoss):
        targets = rng.integers(0, F, ROWS)
        targets[0, 0] = targets[2, 1] = loss.ignore_index
        return outputs.astype(dtype), targets, mask
    if isinstance(loss, CTCLoss):
        return outputs.astype(dtype), np.array([[3, 2, -1], [1, 2, -3]]), mask
    if isinstance(loss, BCEWithLogitsLoss):
        targets = rng.random((*ROWS, F))
    elif isinstance(loss, IntervalLoss):
        targets = outputs[..., : F // 3] - rng.choice([-2.1, -0.6, 0.2, 1.7], (*ROWS, F // 3))
    else:
        targets = outputs - rng.choice([-2.1, -0.6, -0.1, 0.2, 1.7], (*ROWS, F)) - rng.uniform(0, 0.05, (*ROWS, F))
    return outputs.astype(dtype), targets.astype(dtype), mask


def gradient(loss: Loss, outputs: Array, targets: Array, mask: Array | None = None) -> tuple[float, Array]:
    value, tape = loss.forward(outputs, targets, mask)
    return value, loss.backward(tape)


def by_torch(loss: Loss, outputs: Array, targets: Array, mask: Array) -> tuple[float, Array]:
    torch = pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")
    functions = torch.nn.functional
    start = torch.tensor(outputs, requires_grad=True)
    z, y = start[torch.tensor(mask)], torch.tensor(targets if loss.by_lane else targets[mask])

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
        case IntervalLoss():
            value = functions.huber_loss(z[..., : F // 3], y, delta=loss.delta, reduction="sum")
            low = (1 - loss.interval) / 2
            for part, quantile in enumerate((low, 1 - low), 1):
                behind = y - z[..., part * F // 3 : (part + 1) * F // 3] + (loss.shift if part == 1 else -loss.shift)
                value = value + torch.maximum(quantile * behind, (quantile - 1) * behind).sum() / 10
            value = value / y.numel() if loss.reduction == "mean" else value
        case BCEWithLogitsLoss():
            value = functions.binary_cross_entropy_with_logits(
                z, y, pos_weight=row(loss.pos_weight), reduction=loss.reduction
            )
        case CTCLoss():
            lanes = [start[mask[:, lane], lane] for lane in range(ROWS[1])]
            value = functions.ctc_loss(
                torch.nn.utils.rnn.pad_sequence(lanes).log_softmax(-1),
                y.clamp(min=0).T,
                torch.tensor(mask.sum(axis=0)),
                (y >= 0).sum(axis=0),
                blank=loss.blank,
                reduction=loss.reduction,
                zero_infinity=True,
            )
    value.backward()
    return value.item(), start.grad.numpy()


@every_loss
@both_reductions
@pytest.mark.parametrize(("dtype", "tolerance"), TOLERANCES)
def test_value_and_gradient_are_torchs(loss: Loss, reduction: str, dtype: str, tolerance: float) -> None:
    loss = replace(loss, reduction=reduction)
    outputs, targets, _ = make(loss, dtype)
    value, d_outputs = gradient(loss, outputs, targets)
    expected, d_expected = by_torch(loss, outputs, targets, np.ones(ROWS, bool))
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
    expected, d_expected = by_torch(loss, outputs, targets, mask)
    np.testing.assert_allclose(value, expected, rtol=tolerance)
    np.testing.assert_allclose(d_outputs, d_expected, rtol=tolerance, atol=tolerance)
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
        own = slice(lane, lane + 1)
        part = (targets[:, own], mask[:, own]) if loss.by_lane else (targets[:, lane].T, mask[:, lane])
        summed += kernel.forward(*part) / total
        np.testing.assert_allclose(kernel.backward(1 / total).T, d_outputs[:, lane], rtol=1e-12)
    np.testing.assert_allclose(summed, value, rtol=1e-12)


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
    unread = np.broadcast_to(~mask.any(axis=0), targets.shape) if loss.by_lane else hidden
    outputs[hidden] = data.draw(arrays.arrays(outputs.dtype, outputs[hidden].shape))
    targets[unread] = data.draw(arrays.arrays(targets.dtype, targets[unread].shape))
    again, d_again = gradient(loss, outputs, targets, mask)
    assert again == loss(outputs, targets, mask) == value
    assert np.array_equal(d_again, d_outputs)
    assert not d_again[hidden].any()


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_comes_out_so_and_stays_in_its_column_or_lane(loss: Loss, bad: float) -> None:
    outputs, targets, _ = make(loss)
    targets = np.where(targets == 0, 1, targets) if isinstance(loss, CrossEntropyLoss) else targets
    before = gradient(loss, outputs, targets)[1]
    outputs[1, 1, 0] = bad
    value, d_outputs = gradient(loss, outputs, targets)
    assert not np.isfinite(value)
    elsewhere = np.ones(ROWS, bool)
    elsewhere[slice(None) if loss.by_lane else 1, 1] = False
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
    for array, before in zip(batch, copies, strict=True):
        assert np.array_equal(array, before)


@every_loss
@both_reductions
def test_a_loss_goes_through_json(loss: Loss, reduction: str) -> None:
    loss = replace(loss, reduction=reduction)
    again = loss_from_config(json.loads(json.dumps(loss.config)))
    assert again == loss
    assert hash(again) == hash(loss)


def test_every_loss_is_in_the_list() -> None:
    assert {type(loss) for loss in ALL} == set(LOSSES.values())
    assert {loss.__name__ for loss in LOSSES.values()} <= set(core.__all__)


@every_loss
@both_reductions
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_is_equal_and_so_is_what_repr_shows(
    loss: Loss, reduction: str, duplicate: Callable[[Loss], Loss]
) -> None:
    loss = replace(loss, reduction=reduction)
    for again in (duplicate(loss), eval(repr(loss), vars(core).copy())):
        assert again == loss
        assert hash(again) == hash(loss)
        assert gradient(again, *make(loss))[0] == gradient(loss, *make(loss))[0]


@every_loss
def test_a_tape_can_be_copied_before_it_is_used(loss: Loss) -> None:
    batch = make(loss)
    tape = loss.forward(*batch)[1]
    again = copy.deepcopy(tape)
    assert np.array_equal(loss.backward(again), loss.backward(tape))


@every_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_layout_in_memory_does_not_matter(loss: Loss, dtype: str) -> None:
    batch = make(loss, dtype)
    value, d_outputs = gradient(loss, *batch)
    turned = [np.asfortranarray(array) for array in batch]
    reversed_twice = [array[::-1].copy()[::-1] for array in batch]
    repeated = [np.repeat(array, 2, axis=1)[:, ::2] for array in batch]
    for other in (turned, reversed_twice, repeated):
        again, d_again = gradient(loss, *other)
        assert again == value
        assert np.array_equal(d_again, d_outputs)
        assert d_again.flags.c_contiguous


@every_loss
def test_a_dtype_of_another_byte_order_is_named(loss: Loss) -> None:
    outputs, targets, mask = make(loss)
    with pytest.raises(ArgumentError, match=r"^outputs: expected a float32 or float64 array .* got >f8"):
        loss.forward(outputs.astype(">f8"), targets, mask)
