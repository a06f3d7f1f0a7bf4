"""The oracle: which version a batch is computed with, shards that add up, and what it refuses to apply."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core import Adam, ArgumentError, NonFiniteError, SequenceBatch, SequenceModel, shard_lanes
from recurrio.core.optim.clipping import clip_norm
from recurrio.core.optim.optimizers import Adagrad
from recurrio.core.serial import train


class Plain:
    """Gradient descent, so that a test can follow it by hand."""

    lr = 0.5

    def step(self, parameters: np.ndarray, gradient: np.ndarray, out: np.ndarray) -> None:
        np.subtract(parameters, self.lr * gradient, out)


@pytest.mark.parametrize("delay", [0, 1, 2])
def test_batch_k_uses_version_k_minus_delay(delay: int, make_batches: Callable[..., list[SequenceBatch]]) -> None:
    batches = make_batches(8, 5, 2, 6)
    model = SequenceModel(6, embedding_size=3, hidden_size=4, dtype="float64", seed=1)
    reference = SequenceModel(6, embedding_size=3, hidden_size=4, dtype="float64", seed=1)

    versions, state = [reference.parameters.copy()], None
    weights = [versions[0], versions[0]]  # the versions are ahead of these, as far as the last update went, per delay
    for number, batch in enumerate(batches):
        reference.parameters[...] = versions[max(0, number - delay)]
        _, gradient, state = reference.gradient(batch, state)
        weights.append(weights[-1] - 0.5 * gradient)
        versions.append((weights[-1] - weights[-2]) * delay + weights[-1] if delay else weights[-1])

    steps = list(train(model, Plain(), batches, delay=delay))
    assert [step.version for step in steps] == [max(0, number - delay) for number in range(8)]
    assert np.array_equal(model.parameters, versions[-1])


def test_shards_add_up_to_the_full_gradient(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    results = []
    for shards in (1, 2, 3):
        model = SequenceModel(6, embedding_size=3, hidden_size=4, dtype="float64", seed=1)
        losses = [step.loss for step in train(model, Adam(0.01), make_batches(10, 5, 3, 6), shards=shards)]
        results.append((model.parameters, losses))
    for parameters, losses in results[1:]:
        np.testing.assert_allclose(parameters, results[0][0], rtol=1e-6)
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-9)


@pytest.mark.parametrize("vocabulary", [6, 40])  # folded into the first layer, and looked up
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_ranks_add_up_to_the_full_gradient(
    layers: int, vocabulary: int, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    results = []
    for ranks in (1, 2, 3):
        model = SequenceModel(vocabulary, embedding_size=5, hidden_size=7, num_layers=layers, dtype="float64", seed=1)
        batches = make_batches(20, 9, 5, vocabulary)
        losses = [step.loss for step in train(model, Adam(0.01), batches, clip=0.5, shards=2, ranks=ranks)]
        results.append((model.parameters, losses))
    for parameters, losses in results[1:]:
        np.testing.assert_allclose(parameters, results[0][0], atol=1e-10)
        np.testing.assert_allclose(losses, results[0][1], rtol=1e-10)


def test_shard_lanes() -> None:
    assert shard_lanes(7, 3) == [slice(0, 3), slice(3, 5), slice(5, 7)]
    with pytest.raises(ValueError, match="shards: expected 1 to 4"):
        shard_lanes(4, 5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_not_applied(
    value: float, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=0)
    model.parameters[0] = value
    before = model.parameters.copy()
    with pytest.raises(NonFiniteError):
        list(train(model, Plain(), make_batches(1, 5, 2, 1)))
    assert np.array_equal(model.parameters, before, equal_nan=True)


def test_clip_norm() -> None:
    gradient = np.array([3.0, 4.0])
    assert clip_norm(gradient, None) == 5
    assert clip_norm(gradient, 10) == 5
    assert gradient.tolist() == [3, 4]
    assert clip_norm(gradient, 1) == 5
    assert np.linalg.norm(gradient) == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("optimizer", [Adagrad, Adam])
@pytest.mark.parametrize("lr", [0, -1, float("nan"), float("inf")])
def test_a_learning_rate_that_is_none_raises(optimizer: type[Adam], lr: float) -> None:
    with pytest.raises(ValueError, match="lr: expected a finite number above 0"):
        optimizer(lr)


def test_a_batch_larger_than_the_first_is_refused(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    batches = make_batches(1, 5, 4, 6) + make_batches(1, 5, 6, 6)
    with pytest.raises(ArgumentError, match=r"inputs: expected at most 5 steps of 4 lanes, as .*, got \(5, 6\)"):
        list(train(SequenceModel(6, hidden_size=4), Plain(), batches))


@pytest.mark.parametrize(
    ("argument", "value"), [("delay", -1), ("ranks", 0), ("ranks", 5), ("shards", 3), ("clip", -1)]
)
def test_nonsense_arguments_are_named(
    argument: str, value: int, make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    with pytest.raises(ArgumentError, match=f"{argument}: expected"):
        list(train(SequenceModel(6, hidden_size=4), Plain(), make_batches(1, 5, 2, 6), **{argument: value}))
