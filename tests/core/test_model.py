"""The model: configuration, state dict, state carried from batch to batch."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core import SequenceModel
from recurrio.core.embedding import Folded, Lookup


def test_state_dict_has_torch_names_and_shapes_and_goes_round() -> None:
    model = SequenceModel(11, embedding_size=3, hidden_size=5, num_layers=2, seed=1)
    shapes = {name: array.shape for name, array in model.state_dict().items()}
    assert shapes == {
        "embedding.weight": (11, 3),
        "rnn.weight_ih_l0": (20, 3),
        "rnn.weight_hh_l0": (20, 5),
        "rnn.bias_ih_l0": (20,),
        "rnn.bias_hh_l0": (20,),
        "rnn.weight_ih_l1": (20, 5),
        "rnn.weight_hh_l1": (20, 5),
        "rnn.bias_ih_l1": (20,),
        "rnn.bias_hh_l1": (20,),
        "head.weight": (11, 5),
        "head.bias": (11,),
    }
    other = SequenceModel(11, embedding_size=3, hidden_size=5, num_layers=2, seed=2)
    assert not np.array_equal(model.parameters, other.parameters)
    other.load_state_dict(model.state_dict())
    assert np.array_equal(model.parameters, other.parameters)


def test_load_state_dict_names_every_problem_and_changes_nothing() -> None:
    model = SequenceModel(4, embedding_size=3, hidden_size=2)
    before = model.parameters.copy()
    named = model.state_dict()
    del named["head.bias"]
    named["extra"] = np.zeros(1)
    named["embedding.weight"] = np.zeros((4, 4))
    with pytest.raises(ValueError, match=r"missing head.bias; unexpected extra; embedding.weight: expected shape"):
        model.load_state_dict(named)
    assert np.array_equal(model.parameters, before)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("hidden_size", 0), ("num_layers", -1), ("embedding_size", 2.5), ("cell", "tree"), ("dtype", "int8")],
)
def test_nonsense_configuration_raises(argument: str, value: object) -> None:
    with pytest.raises(ValueError, match=argument):
        SequenceModel(5, **{argument: value})


def test_two_batches_in_flight_do_not_touch_each_other() -> None:
    model = SequenceModel(7, embedding_size=4, hidden_size=6, seed=1)
    first, second = np.random.default_rng(0).integers(0, 7, (2, 5, 3))

    def alone(tokens: np.ndarray) -> np.ndarray:
        workspace = model.workspace(5, 3)
        model.forward(model.parameters, workspace, tokens, tokens, model.initial_state(3))
        return model.backward(model.parameters, workspace, 1.0)

    one, two = model.workspace(5, 3), model.workspace(5, 3)
    model.forward(model.parameters, one, first, first, model.initial_state(3))
    model.forward(model.parameters, two, second, second, model.initial_state(3))
    assert np.array_equal(model.backward(model.parameters, one, 1.0), alone(first))
    assert np.array_equal(model.backward(model.parameters, two, 1.0), alone(second))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_cut_in_two_with_the_state_carried_equals_one_pass(layers: int) -> None:
    model = SequenceModel(7, embedding_size=4, hidden_size=6, num_layers=layers, dtype="float64", seed=1)
    tokens = np.random.default_rng(0).integers(0, 7, (10, 3))
    whole = model.logits(model.parameters, model.workspace(10, 3), tokens, model.initial_state(3))
    state, workspace = model.initial_state(3), model.workspace(5, 3)
    halves = [model.logits(model.parameters, workspace, half, state).copy() for half in (tokens[:5], tokens[5:])]
    np.testing.assert_allclose(np.concatenate(halves, axis=1), whole, rtol=1e-12)


def test_looking_up_and_folding_agree() -> None:
    # 4 lanes of 2 steps are too few tokens to fold for, 4 of 20 are enough.
    model = SequenceModel(8, embedding_size=4, hidden_size=6, dtype="float64", seed=1)
    short, long = model.workspace(2, 4), model.workspace(20, 4)
    assert isinstance(short.embedding, Lookup)
    assert isinstance(long.embedding, Folded)
    tokens = np.random.default_rng(0).integers(0, 8, (20, 4))
    by_folding = model.logits(model.parameters, long, tokens, model.initial_state(4)).reshape(8, 20, 4)
    state = model.initial_state(4)
    for step in range(0, 20, 2):
        by_lookup = model.logits(model.parameters, short, tokens[step : step + 2], state).reshape(8, 2, 4)
        np.testing.assert_allclose(by_lookup, by_folding[:, step : step + 2], rtol=1e-10, atol=1e-12)


def test_extreme_activations_are_finite_and_silent() -> None:
    model = SequenceModel(5, embedding_size=4, hidden_size=6)
    model.parameters *= 1e4
    tokens = np.random.default_rng(0).integers(0, 5, (6, 3))
    workspace = model.workspace(6, 3)
    assert np.isfinite(model.forward(model.parameters, workspace, tokens, tokens, model.initial_state(3)))
    assert np.isfinite(model.backward(model.parameters, workspace, 1.0)).all()
