"""Losses whose targets may have gaps: a target that is NaN does not count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from recurrio.core import SGD, ArgumentError, BCEWithLogitsLoss, HuberLoss, MSELoss, SequenceBatch, SequenceModel
from recurrio.core.gradcheck import directional_error
from recurrio.core.losses.loss import Loss
from recurrio.core.losses.table import loss_from_config
from recurrio.core.serial import train

Array = np.ndarray
ROWS, F = (4, 3), 5
ALL = [
    MSELoss(ignore_nan=True),
    HuberLoss(delta=0.3, ignore_nan=True),
    BCEWithLogitsLoss(pos_weight=(0.5, 2, 0, 1, 3.5), ignore_nan=True),
]
every_loss = pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])


def make(dtype: str = "float64", seed: int = 0) -> tuple[Array, Array, Array, Array]:
    """Outputs, targets with gaps, where the gaps are, and a mask."""
    rng = np.random.default_rng(seed)
    outputs, targets = rng.standard_normal((*ROWS, F)), rng.random((*ROWS, F))
    gaps, mask = rng.random((*ROWS, F)) < 0.4, rng.random(ROWS) < 0.6
    targets[gaps] = np.nan
    return outputs.astype(dtype), targets.astype(dtype), gaps, mask


def gradient(loss: Loss, outputs: Array, targets: Array, mask: Array | None = None) -> tuple[float, Array]:
    value, tape = loss.forward(outputs, targets, mask)
    return value, loss.backward(tape)


@every_loss
@dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("masked", [False, True])
def test_a_gap_is_as_if_the_element_were_not_there(loss: Loss, dtype: str, reduction: str, masked: bool) -> None:
    outputs, targets, gaps, mask = make(dtype)
    value, d_outputs = gradient(replace(loss, reduction=reduction), outputs, targets, mask if masked else None)
    # One element after the other by the loss without gaps, each with the weight of its feature.
    counted = ~gaps & (mask[..., None] if masked else True)
    plain = replace(loss, reduction="sum", ignore_nan=False)
    total, expected = 0.0, np.zeros_like(outputs)
    for place in zip(*np.nonzero(counted), strict=True):
        one = plain
        if isinstance(loss, BCEWithLogitsLoss) and loss.pos_weight is not None:
            one = replace(plain, pos_weight=(loss.pos_weight[place[-1]],))
        part, d_part = gradient(one, outputs[place].reshape(1), targets[place].reshape(1))
        total, expected[place] = total + part, d_part[0]
    count = counted.sum() if reduction == "mean" else 1
    np.testing.assert_allclose(value, total / count, rtol=1e-5)
    np.testing.assert_allclose(d_outputs, expected / count, rtol=1e-5, atol=1e-7)
    assert not d_outputs[~counted].any()


@every_loss
@dtypes
@pytest.mark.parametrize("masked", [False, True])
def test_without_gaps_not_a_bit_changes(loss: Loss, dtype: str, masked: bool) -> None:
    outputs, targets, _, mask = make(dtype)
    targets = np.nan_to_num(targets, nan=0.25)
    chosen = mask if masked else None
    value, d_outputs = gradient(loss, outputs, targets, chosen)
    expected, d_expected = gradient(replace(loss, ignore_nan=False), outputs, targets, chosen)
    assert value == expected
    assert np.array_equal(d_outputs, d_expected)


@every_loss
def test_without_the_option_a_gap_poisons_the_loss(loss: Loss) -> None:
    outputs, targets, *_ = make()
    assert np.isnan(replace(loss, ignore_nan=False)(outputs, targets))
    assert np.isfinite(loss(outputs, targets))
    outputs[~np.isnan(targets)] = np.nan  # an output that counts is not ignored
    assert np.isnan(loss(outputs, targets))


@every_loss
def test_nothing_but_gaps_is_no_loss_and_no_gradient(loss: Loss) -> None:
    outputs, targets, _, mask = make()
    targets.fill(np.nan)
    for chosen in (None, mask):
        value, d_outputs = gradient(loss, outputs, targets, chosen)
        assert (value, loss.total(targets, chosen)) == (0, 1)
        assert not d_outputs.any()


@every_loss
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_the_outputs_at_a_gap_never_matter(loss: Loss, data: st.DataObject) -> None:
    outputs, targets, gaps, mask = make(data.draw(st.sampled_from(["float32", "float64"])))
    value, d_outputs = gradient(loss, outputs, targets, mask)
    outputs[gaps] = data.draw(arrays.arrays(outputs.dtype, outputs[gaps].shape))
    again, d_again = gradient(loss, outputs, targets, mask)
    assert again == value
    assert np.array_equal(d_again, d_outputs)


@every_loss
@pytest.mark.parametrize("plant", [False, True])
def test_the_gradient_is_the_slope(loss: Loss, plant: bool) -> None:
    outputs, targets, _, mask = make()
    d_outputs = gradient(loss, outputs, targets, mask)[1]
    if plant:
        d_outputs.flat[np.abs(d_outputs).argmax()] *= 1.01
    error = directional_error(lambda: loss(outputs, targets, mask), outputs, d_outputs, rng=np.random.default_rng(1))
    assert (error > 1e-6) if plant else (error < 1e-6)


@every_loss
def test_the_option_goes_through_the_config_and_old_configs_still_load(loss: Loss) -> None:
    assert loss.config["ignore_nan"] is True
    assert loss_from_config(loss.config) == loss
    plain = replace(loss, ignore_nan=False)
    assert "ignore_nan" not in plain.config
    assert loss_from_config(plain.config) == plain
    with pytest.raises(ArgumentError, match="ignore_nan: expected True or False, got 1"):
        replace(loss, ignore_nan=1)


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("output", ["steps", "last"])
def test_a_model_learns_from_what_is_there(shards: int, output: str) -> None:
    """As from a batch in which the lanes with gaps are masked out; the first steps of each lane have targets."""
    rng = np.random.default_rng(0)
    loss = HuberLoss(ignore_nan=True)
    options = {"input_size": 2, "hidden_size": 4, "output_size": 1, "dtype": "float64", "seed": 1, "output": output}
    ours, other = (SequenceModel(**options, loss=one) for one in (loss, HuberLoss()))
    inputs, lengths = rng.standard_normal((6, 5, 2)), np.array([6, 3, 0, 6, 1])
    targets = rng.standard_normal((6 if output == "steps" else 1, 5, 1))
    gaps = targets.copy()
    if output == "steps":
        gaps[np.arange(6)[:, None] >= lengths] = np.nan
    else:
        gaps[:, lengths == 0] = np.nan
    batch = SequenceBatch(inputs, gaps, True, None if output == "steps" else lengths)
    masked = SequenceBatch(inputs, targets, True, lengths)
    first = [step.loss for step in train(ours, SGD(0.1), [batch] * 3, shards=shards)]
    second = [step.loss for step in train(other, SGD(0.1), [masked] * 3, shards=shards)]
    np.testing.assert_allclose(first, second, rtol=1e-12)
    np.testing.assert_allclose(ours.parameters, other.parameters, rtol=1e-12)
    nothing = batch._replace(targets=np.full_like(gaps, np.nan))
    before = ours.parameters.copy()
    assert [step.loss for step in train(ours, SGD(0.1), [nothing], shards=shards)] == [0]
    assert np.array_equal(ours.parameters, before)
