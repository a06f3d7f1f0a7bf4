"""The model: configuration, layers on one vector, state, single steps, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    LSTM,
    ArgumentError,
    CrossEntropyLoss,
    Embedding,
    HuberLoss,
    Linear,
    MSELoss,
    SequenceBatch,
    SequenceModel,
)
from recurrio.core.cells.table import CELLS
from recurrio.core.layers.embedding import Folded, Lookup
from recurrio.core.model.heads import HEADS


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
    model = SequenceModel(4, embedding_size=3, hidden_size=2, seed=0)
    before = model.parameters.copy()
    named = model.state_dict()
    del named["head.bias"]
    named["extra"] = np.zeros(1)
    named["embedding.weight"] = np.zeros((4, 4))
    with pytest.raises(ValueError, match=r"missing head.bias; unexpected extra; embedding.weight: expected shape"):
        model.load_state_dict(named)
    assert np.array_equal(model.parameters, before)


CONFIGURATIONS: list[dict[str, Any]] = [
    {"vocabulary_size": 9},
    {"vocabulary_size": 9, "cell": "gru", "output": "last", "output_size": 3, "bidirectional": True, "num_layers": 2},
    {"input_size": 4, "output_size": 2, "hidden_size": [5, 3], "num_layers": 2, "cell": "rnn_relu", "bias": False},
    {"input_size": 4, "output_size": 1, "proj_size": 2, "hidden_size": 5, "loss": HuberLoss(delta=2.0), "dropout": 0.1},
    {"input_size": 4, "output_size": 2, "output": "attention", "bidirectional": True},
    {"vocabulary_size": 9, "embedding_dropout": 0.25, "output_dropout": 0.5},
    {"vocabulary_size": 9, "layer_norm": True, "zoneout": 0.1, "proj_size": 3},
    {"vocabulary_size": 3, "loss": CrossEntropyLoss(weight=(1, 2, 3), label_smoothing=0.1), "dtype": "float64"},
]


@pytest.mark.parametrize("options", CONFIGURATIONS)
def test_the_configuration_goes_through_json(options: dict[str, Any]) -> None:
    model = SequenceModel(**options, seed=1)
    again = SequenceModel(**json.loads(json.dumps(model.config)), seed=1)
    assert again.config == model.config
    assert again.network.loss == model.network.loss
    assert np.array_equal(again.parameters, model.parameters)


@pytest.mark.parametrize("dtype", [np.float64, np.dtype("float64")])
def test_a_dtype_may_be_numpys_own(dtype: Any) -> None:  # noqa: ANN401
    model = SequenceModel(5, dtype=dtype)
    assert model.config["dtype"] == "float64"
    assert model.parameters.dtype == np.float64


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("hidden_size", 0),
        ("num_layers", -1),
        ("embedding_size", 2.5),
        ("cell", "tree"),
        ("dtype", "int8"),
        ("output", "first"),
        ("output_size", 0),
        ("dropout", -1),
        ("embedding_dropout", 1.1),
        ("output_dropout", -0.1),
        ("zoneout", 1.5),
        ("layer_norm", 2),
        ("vocabulary_size", None),
        ("input_size", 3),
        ("loss", {"loss": "hinge"}),
    ],
)
def test_nonsense_configuration_raises(argument: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=argument if argument != "input_size" else "vocabulary_size"):
        SequenceModel(**{"vocabulary_size": 5, argument: value})


def test_features_have_no_embedding_to_drop_from() -> None:
    with pytest.raises(ArgumentError, match=r"embedding_dropout: expected 0 where the inputs are features, got 0.1"):
        SequenceModel(input_size=3, output_size=2, embedding_dropout=0.1)


def test_features_need_an_output_size() -> None:
    with pytest.raises(ArgumentError, match="output_size"):
        SequenceModel(input_size=3)


def batch_for(model: SequenceModel, steps: int, lanes: int, seed: int = 0) -> SequenceBatch:
    return SequenceBatch(*np.random.default_rng(seed).integers(0, model.vocabulary_size, (2, steps, lanes)))


@pytest.mark.parametrize("output", HEADS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_outputs_are_those_of_its_layers(bidirectional: bool, output: str) -> None:
    model = SequenceModel(
        7,
        embedding_size=4,
        hidden_size=6,
        num_layers=2,
        bidirectional=bidirectional,
        output=output,
        dtype="float64",
        seed=0,
    )
    tokens, lengths = np.random.default_rng(0).integers(0, 7, (5, 3)), np.array([5, 2, 4])
    outputs, _ = model(tokens, None, lengths)
    directions = 2 if bidirectional else 1
    layers = {
        "embedding": Embedding(7, 4, dtype="float64"),
        "rnn": LSTM(4, 6, 2, bidirectional=bidirectional, dtype="float64"),
        "head": Linear(6 * directions, 7, dtype="float64"),
    }
    for name, layer in layers.items():
        named = model.state_dict().items()
        layer.load_state_dict({key.removeprefix(f"{name}."): array for key, array in named if key.startswith(name)})
    hidden, state = layers["rnn"](layers["embedding"](tokens), None, lengths)
    if output == "last":
        hidden = np.concatenate(list(state.hidden[-directions:]), axis=1)[None]
    elif output == "mean":
        hidden = hidden.sum(axis=0, keepdims=True) / lengths[:, None]
    elif output == "max":
        hidden = np.array([[hidden[:length, lane].max(axis=0) for lane, length in enumerate(lengths)]])
    elif output == "attention":
        scores = np.exp(hidden @ model.state_dict()["attention.weight"][0]) * (np.arange(5)[:, None] < lengths)
        hidden = (hidden * (scores / scores.sum(axis=0))[:, :, None]).sum(axis=0, keepdims=True)
    expected = layers["head"](np.ascontiguousarray(hidden))
    if output == "steps":  # the head gives its bias where there is no step
        expected[np.arange(5)[:, None] >= lengths] = outputs[np.arange(5)[:, None] >= lengths]
    np.testing.assert_allclose(outputs, expected, rtol=1e-10)


def test_two_batches_in_flight_do_not_touch_each_other() -> None:
    model = SequenceModel(7, embedding_size=4, hidden_size=6, seed=1)
    batches = [batch_for(model, 5, 3, seed) for seed in (0, 1)]
    alone = [model.gradient(batch)[1].copy() for batch in batches]
    spaces = [model.workspace(5, 3) for _ in batches]
    for space, batch in zip(spaces, batches, strict=True):
        list(space.forward(model.network.blocks(model.parameters), batch, model.initial_state(3)))
    for space, expected in zip(spaces, alone, strict=True):
        list(space.backward(1 / 15))
        list(space.weight_gradient())
        assert np.array_equal(space.gradient, expected)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_sequence_cut_in_two_with_the_state_carried_equals_one_pass(layers: int) -> None:
    model = SequenceModel(7, embedding_size=4, hidden_size=6, num_layers=layers, dtype="float64", seed=1)
    tokens = batch_for(model, 10, 3).inputs
    whole, _ = model(tokens)
    first, state = model(tokens[:5])
    kept = [[array.copy() for array in part] for part in state]
    second, _ = model(tokens[5:], state)
    np.testing.assert_allclose(np.concatenate((first, second)), whole, rtol=1e-10, atol=1e-14)
    assert all(
        np.array_equal(a, b) for one, two in zip(state, kept, strict=True) for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("cell", CELLS)
def test_single_steps_equal_one_pass(cell: str) -> None:
    model = SequenceModel(7, embedding_size=4, hidden_size=6, num_layers=2, cell=cell, dtype="float64", seed=1)
    tokens, state = batch_for(model, 6, 3).inputs, None
    whole, _ = model(tokens)
    for row, expected in zip(tokens, whole, strict=True):
        outputs, state = model.step(row, state)
        np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-12)


def test_looking_up_and_folding_agree() -> None:
    # 4 lanes of 2 steps are too few tokens to fold for, 4 of 20 are enough.
    model = SequenceModel(8, embedding_size=4, hidden_size=6, num_layers=2, dtype="float64", seed=1)
    assert isinstance(model.workspace(2, 4).passes(2, 4).embedding, Lookup)
    assert isinstance(model.workspace(20, 4).passes(20, 4).embedding, Folded)
    tokens, state = np.random.default_rng(0).integers(0, 8, (20, 4)), None
    by_folding, _ = model(tokens)
    for step in range(0, 20, 2):
        by_lookup, state = model(tokens[step : step + 2], state)
        np.testing.assert_allclose(by_lookup, by_folding[step : step + 2], rtol=1e-10, atol=1e-12)


def test_extreme_activations_are_finite_and_silent() -> None:
    for cell in ("rnn", "rnn_sigmoid", "lstm", "gru"):
        model = SequenceModel(5, embedding_size=4, hidden_size=6, cell=cell, seed=0)
        model.parameters *= 1e4
        loss, gradient, _ = model.gradient(batch_for(model, 6, 3))
        assert np.isfinite(loss)
        assert np.isfinite(gradient).all()


def test_what_stands_in_the_padding_never_matters() -> None:
    lengths = np.array([4, 0, 2])
    padding = np.arange(4)[:, None] >= lengths
    for vocabulary in (6, 40):
        model = SequenceModel(vocabulary, embedding_size=4, hidden_size=6, seed=0)
        batch = batch_for(model, 4, 3)._replace(lengths=lengths)
        junk = batch._replace(inputs=batch.inputs.copy(), targets=batch.targets.copy())
        junk.inputs[padding], junk.targets[padding] = -5, 10**6
        (loss, gradient, _), (other_loss, other, _) = model.gradient(batch), model.gradient(junk)
        assert loss == other_loss
        assert np.array_equal(gradient, other)
    model = SequenceModel(input_size=2, output_size=2, hidden_size=6, dtype="float64", seed=0)
    x = np.random.default_rng(0).standard_normal((4, 3, 2))
    junk_x = np.where(padding[:, :, None], np.nan, x)
    one, other = (model.gradient(SequenceBatch(array, array, False, lengths)) for array in (x, junk_x))
    assert one[0] == other[0]
    assert np.array_equal(one[1], other[1])


def test_a_batch_that_counts_nothing_has_no_gradient() -> None:
    model = SequenceModel(6, embedding_size=4, hidden_size=5, seed=0)
    loss, gradient, _ = model.gradient(batch_for(model, 4, 3)._replace(lengths=np.zeros(3, int)))
    assert loss == 0
    assert not gradient.any()


TOKENS = np.zeros((4, 3), int)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "rank": ({"inputs": TOKENS[0]}, r"inputs: expected an array \(T, B\), got int64 \(3,\)"),
    "dtype": ({"inputs": TOKENS * 1.0}, r"inputs: expected whole numbers, got float64 \(4, 3\)"),
    "vocabulary": ({"inputs": TOKENS + 6}, "inputs: expected indices from 0 to 5, got indices from 6 to 6"),
    "targets": ({"targets": TOKENS + 6}, r"targets: expected classes in 0…5, or -100 to ignore, got 6 at \(0, 0\)"),
    "target shape": ({"targets": TOKENS[:3]}, r"targets: expected an array \(4, 3\), got int64 \(3, 3\)"),
    "lengths": ({"lengths": np.array([5, 0, 0])}, r"lengths: expected whole numbers from 0 to 4 \(T\), got"),
    "reset": ({"reset": np.zeros((3, 4), bool)}, r"reset: expected a bool array \(4, 3\), got bool \(3, 4\)"),
    "empty": ({"inputs": TOKENS[:, :0], "targets": TOKENS[:, :0]}, "inputs: expected at least one step and one lane"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_batch_is_named(wrong: str) -> None:
    arrays, message = WRONG[wrong]
    with pytest.raises(ArgumentError, match=message):
        SequenceModel(6).gradient(SequenceBatch(TOKENS, TOKENS)._replace(**arrays))


def test_a_batch_that_is_none_is_named() -> None:
    with pytest.raises(ArgumentError, match="batch: expected a SequenceBatch, got tuple"):
        SequenceModel(6).gradient((TOKENS, TOKENS))


@pytest.mark.parametrize("layers", [1, 2])
def test_a_state_of_another_structure_is_named(layers: int) -> None:
    model, state = SequenceModel(6, hidden_size=4, num_layers=layers), LSTM(2, 4, layers)(np.zeros((4, 3, 2), "f4"))[1]
    own = model(TOKENS)[1]
    for wrong in (state, tuple(state), state.hidden, list(state.hidden), own[0], own * 3, [(h,) for h, _ in own], 0):
        for call in (lambda wrong=wrong: model(TOKENS, wrong), lambda wrong=wrong: model.step(TOKENS[0], wrong)):
            with pytest.raises(ArgumentError, match=r"^state: expected what a call of the model returned, got "):
                call()


def test_wrong_features_states_and_steps_are_named() -> None:
    model = SequenceModel(input_size=3, output_size=2, hidden_size=4, loss=MSELoss())
    x = np.zeros((5, 2, 3), np.float32)
    with pytest.raises(ArgumentError, match=r"inputs: expected a float32 array \(T, B, 3\), got float32 \(5, 2, 2\)"):
        model(x[:, :, :2])
    with pytest.raises(ArgumentError, match=r"targets: expected a float32 array \(5, 2, 2\), got float32 \(5, 2, 3\)"):
        model.gradient(SequenceBatch(x, x))
    with pytest.raises(ArgumentError, match=r"state: expected a float32 array \(4, 2\), got float32 \(4, 3\)"):
        model(x, model.initial_state(3))
    with pytest.raises(ArgumentError, match=r"inputs: expected a float32 array \(T, B, 3\)"):
        model.step(x[0, :, :2])
    with pytest.raises(ArgumentError, match=r"model: expected one direction and one output a step, got output='mean'"):
        SequenceModel(5, output="mean").step(np.zeros(2, int))
    with pytest.raises(ArgumentError, match=r"model: .*, got bidirectional=True"):
        SequenceModel(5, bidirectional=True).step(np.zeros(2, int))
