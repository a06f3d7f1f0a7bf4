"""Masked arrays are refused wherever an array is taken, because computing with what is in them would lose the mask."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core import (
    LSTM,
    SGD,
    ArgumentError,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    CTCLoss,
    Embedding,
    Linear,
    MSELoss,
    SequenceBatch,
    SequenceModel,
    clip_norm,
    clip_value,
    directional_error,
)
from recurrio.core.functional import rnn_cell_forward

X, TOKENS, ROW = np.ones((2, 3, 4), np.float32), np.zeros((2, 3), int), np.ones(5)
FEATURES = SequenceModel(input_size=4, output_size=4, hidden_size=3, seed=0)
WORDS = SequenceModel(5, hidden_size=3, seed=0)
LAYER, LINEAR, TABLE = LSTM(4, 3, seed=0), Linear(4, 3, seed=0), Embedding(5, 4, seed=0)


def masked(array: np.ndarray) -> np.ma.MaskedArray:
    return np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 1)


DOORS: dict[str, list[Callable[[], object]]] = {
    "inputs": [
        lambda: FEATURES(masked(X)),
        lambda: WORDS(masked(TOKENS)),
        lambda: WORDS.step(masked(TOKENS[0])),
        lambda: FEATURES.gradient(SequenceBatch(masked(X), X)),
    ],
    "targets": [
        lambda: FEATURES.gradient(SequenceBatch(X, masked(X))),
        lambda: WORDS.gradient(SequenceBatch(TOKENS, masked(TOKENS))),
        lambda: MSELoss()(X, masked(X)),
        lambda: CrossEntropyLoss()(X, masked(TOKENS)),
        lambda: CTCLoss()(X, masked(TOKENS)),
    ],
    "lengths": [
        lambda: WORDS(TOKENS, None, masked(np.array([1, 2, 2]))),
        lambda: LAYER(X, None, masked(np.array([1, 2, 2]))),
    ],
    "reset": [
        lambda: WORDS(TOKENS, None, None, masked(TOKENS > 0)),
        lambda: LAYER(X, None, None, masked(TOKENS > 0)),
    ],
    "state": [
        lambda: LAYER(X, tuple(masked(np.zeros((1, 3, 3), np.float32)) for _ in range(2))),
        lambda: WORDS(TOKENS, [tuple(map(masked, part)) for part in WORDS.initial_state(3)]),
    ],
    "x": [lambda: LAYER(masked(X)), lambda: LAYER.step(masked(X[0])), lambda: LINEAR(masked(X))],
    "d_output": [lambda: LAYER.backward(LAYER.forward(X)[2], masked(np.ones((2, 3, 3), np.float32)))],
    "d_y": [lambda: LINEAR.backward(LINEAR.forward(X)[1], masked(np.ones((2, 3, 3), np.float32)))],
    "indices": [lambda: TABLE(masked(TOKENS))],
    "d_rows": [lambda: TABLE.backward(TABLE.forward(TOKENS)[1], masked(X))],
    "outputs": [lambda: MSELoss()(masked(X), X)],
    "mask": [lambda: MSELoss()(X, X, masked(np.ones((2, 3), bool)))],
    "weight": [lambda: CrossEntropyLoss(weight=masked(ROW))],
    "pos_weight": [lambda: BCEWithLogitsLoss(pos_weight=masked(ROW))],
    "parameters": [lambda: SGD().step(masked(ROW), ROW), lambda: setattr(FEATURES, "parameters", masked(ROW))],
    "gradient": [
        lambda: SGD().step(ROW.copy(), masked(ROW)),
        lambda: clip_norm(masked(ROW), 1.0),
        lambda: clip_value(masked(ROW), 1.0),
        lambda: directional_error(lambda: 0.0, ROW.copy(), masked(ROW), rng=np.random.default_rng(0)),
    ],
    "out": [lambda: SGD().step(ROW.copy(), ROW, masked(ROW))],
    "array": [lambda: directional_error(lambda: 0.0, masked(ROW), ROW, rng=np.random.default_rng(0))],
    "Wax": [
        lambda: rnn_cell_forward(
            np.ones((3, 2)),
            np.ones((4, 2)),
            {
                "Wax": masked(np.ones((4, 3))),
                "Waa": np.ones((4, 4)),
                "Wya": np.ones((2, 4)),
                "ba": np.ones((4, 1)),
                "by": np.ones((2, 1)),
            },
        )
    ],
}


@pytest.mark.parametrize(
    ("argument", "call"), [(argument, call) for argument, calls in DOORS.items() for call in calls]
)
def test_a_mask_is_not_lost(argument: str, call: Callable[[], object]) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument}: expected an array without a mask, .*filled") as caught:
        call()
    assert caught.value.argument == argument


def test_an_array_that_only_could_have_a_mask_is_refused_too() -> None:
    with pytest.raises(ArgumentError, match=r"^x: expected an array without a mask"):
        LINEAR(np.ma.masked_array(X))
