"""Copies and pickles: what has views into one vector comes back whole, or says that it cannot be copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    GRU,
    LSTM,
    RNN,
    Adam,
    ByteVocabulary,
    CharVocabulary,
    Embedding,
    HuberLoss,
    Linear,
    SequenceBatch,
    SequenceModel,
    TextModel,
    summary,
)
from recurrio.core.base.initializers import TorchRandom
from recurrio.core.serial import train

COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "old pickle": lambda thing: pickle.loads(pickle.dumps(thing, 2)),
    "twice": lambda thing: copy.deepcopy(pickle.loads(pickle.dumps(thing))),
    "of a shallow copy": lambda thing: copy.deepcopy(copy.copy(thing)),
}
every_copy = pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
MODULES: dict[str, Callable[[], Any]] = {
    "linear": lambda: Linear(3, 4, seed=1),
    "embedding": lambda: Embedding(6, 4, seed=1),
    "rnn": lambda: RNN(3, 4, 2, "relu", seed=1),
    "lstm": lambda: LSTM(3, [4, 5], 2, bidirectional=True, seed=1),
    "gru": lambda: GRU(3, 4, dtype="float64", batch_first=True, seed=1),
    "tokens": lambda: SequenceModel(6, embedding_size=3, hidden_size=4, num_layers=2, dropout=0.2, seed=1),
    "features": lambda: SequenceModel(
        input_size=3, output_size=2, hidden_size=4, output="mean", loss=HuberLoss(delta=2), dtype="float64", seed=1
    ),
}
every_module = pytest.mark.parametrize("make", MODULES.values(), ids=MODULES)


@every_copy
@every_module
def test_a_copy_is_whole_and_by_itself(make: Callable[[], Any], duplicate: Callable[[Any], Any]) -> None:
    original, before = make(), make().parameters
    again = duplicate(original)
    assert repr(again) == repr(original)
    assert summary(again) == summary(original)
    assert np.array_equal(again.parameters, before)
    other = TorchRandom(5)
    again.initialise(other)
    fresh = make()
    fresh.initialise(TorchRandom(5))
    assert np.array_equal(again.parameters, fresh.parameters)
    assert not np.array_equal(again.parameters, before)
    again.load_state_dict({name: np.full_like(array, 2) for name, array in original.state_dict().items()})
    assert (again.parameters[again.parameters != 0] == 2).all()
    assert all((array == 2).all() for array in again.state_dict().values())
    assert np.array_equal(original.parameters, before)


@every_copy
def test_a_copied_layer_computes_and_takes_only_its_own_tapes(duplicate: Callable[[Any], Any]) -> None:
    layer, x = LSTM(3, 4, 2, seed=1), np.ones((5, 2, 3), np.float32)
    output, _, tape = layer.forward(x)
    again = duplicate(layer)
    other, _, other_tape = again.forward(x)
    assert np.array_equal(output, other)
    gradients, others = layer.backward(tape, output)[2], again.backward(other_tape, other)[2]
    assert all(np.array_equal(gradients[name], others[name]) for name in gradients)
    with pytest.raises(ValueError, match="tape: expected one of this layer"):
        again.backward(tape, output)


@every_copy
def test_training_goes_on_from_copies_of_model_and_optimizer(
    duplicate: Callable[[Any], Any], make_batches: Callable[..., list[SequenceBatch]]
) -> None:
    model, optimizer = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1), Adam(0.01)
    batches = make_batches(6, 5, 3, 6)
    list(train(model, optimizer, batches[:3]))
    again, other = duplicate(model), duplicate(optimizer)
    list(train(again, other, batches[3:]))
    kept = model.parameters.copy()
    list(train(model, optimizer, batches[3:]))
    assert np.array_equal(again.parameters, model.parameters)
    assert not np.array_equal(model.parameters, kept)
    assert np.array_equal(again.state_dict()["head.weight"], model.state_dict()["head.weight"])


def test_a_shallow_copy_has_the_same_parameters() -> None:
    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    again = copy.copy(model)
    again.initialise(TorchRandom(5))
    assert np.array_equal(model.parameters, SequenceModel(6, embedding_size=3, hidden_size=4, seed=5).parameters)
    assert again.parameters is model.parameters


def test_parameters_that_are_set_are_those_of_the_layers_too() -> None:
    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    model.parameters = vector = np.zeros_like(model.parameters)
    model.initialise(TorchRandom(1))
    assert model.parameters is vector
    assert np.array_equal(vector, SequenceModel(6, embedding_size=3, hidden_size=4, seed=1).parameters)
    for wrong in (vector[1:], vector.astype(float), vector.tolist()):
        with pytest.raises(ValueError, match="parameters: expected a float32 array"):
            model.parameters = wrong


def test_a_pickle_holds_the_parameters_once() -> None:
    model = SequenceModel(300, seed=1)
    assert len(pickle.dumps(model)) < model.parameters.nbytes + 10_000


@every_copy
@pytest.mark.parametrize("vocabulary", [CharVocabulary("abc \n"), ByteVocabulary()])
def test_a_text_model_writes_the_same(
    vocabulary: CharVocabulary | ByteVocabulary, duplicate: Callable[[Any], Any]
) -> None:
    text = TextModel(SequenceModel(len(vocabulary), embedding_size=4, hidden_size=8, seed=1), vocabulary)
    again = duplicate(text)
    assert repr(again) == repr(text)
    written = ["".join(one.generate("ab", 30, rng=np.random.default_rng(0))) for one in (text, again)]
    assert written[0] == written[1]


@pytest.mark.parametrize("duplicate", [copy.copy, *COPIES.values()])
def test_a_tape_cannot_be_copied(duplicate: Callable[[Any], Any]) -> None:
    layer = GRU(3, 4, dtype="float64", seed=1)
    tape = layer.forward(np.ones((5, 2, 3)))[2]
    with pytest.raises(TypeError, match=r"^Tape: cannot be copied or pickled"):
        duplicate((layer, [tape]) if duplicate is not copy.copy else tape)


@every_copy
def test_tapes_of_copies_serve_their_own_layers(duplicate: Callable[[Any], Any]) -> None:
    linear, x = Linear(3, 4, seed=1), np.ones((2, 3), np.float32)
    y, tape = linear.forward(x)
    d_x, gradients = linear.backward(tape, y)
    again, tape_again = duplicate((linear, tape))
    other, others = again.backward(tape_again, y)
    assert np.array_equal(d_x, other)
    assert all(np.array_equal(gradients[name], others[name]) for name in gradients)
