"""Outputs for classes that there are not yet take no part: as if the model did not have them."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core import CrossEntropyLoss, SequenceBatch, SequenceModel

T, B, ALL, KNOWN = 5, 3, 6, 2


def make_batch(classes: int) -> SequenceBatch:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, KNOWN, (T, B))
    targets[2] = -100
    return SequenceBatch(rng.standard_normal((T, B, 4)), targets, classes=classes)


def make_model(outputs: int) -> SequenceModel:
    options = {"input_size": 4, "hidden_size": 7, "loss": CrossEntropyLoss(), "dtype": "float64", "seed": 1}
    return SequenceModel(output_size=outputs, **options)


def test_they_have_no_share_in_the_loss_and_no_gradient() -> None:
    large, small = make_model(ALL), make_model(KNOWN)
    named = large.state_dict()
    small.load_state_dict({name: array[:KNOWN] if name.startswith("head.") else array for name, array in named.items()})
    loss, gradient, _ = large.gradient(make_batch(KNOWN))
    expected, reduced, _ = small.gradient(make_batch(0))
    assert loss == pytest.approx(expected, rel=1e-12)
    head = large.layout.views(gradient)["head.matrix"]
    np.testing.assert_allclose(head[:KNOWN], small.layout.views(reduced)["head.matrix"], rtol=1e-9, atol=1e-12)
    assert not head[KNOWN:].any()
    assert np.isfinite(gradient).all()


def test_without_a_number_all_of_them_do() -> None:
    model = make_model(ALL)
    loss, gradient, _ = model.gradient(make_batch(0))
    assert loss == model.gradient(make_batch(ALL))[0]
    assert model.layout.views(gradient)["head.matrix"][KNOWN:].all()
