"""Seeds: given, or drawn afresh and kept; and what `repr` shows, which makes an equal thing again."""

from __future__ import annotations

import inspect
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurrio import core
from recurrio.core import (
    GRU,
    LSTM,
    RNN,
    ArgumentError,
    CharVocabulary,
    CrossEntropyLoss,
    Embedding,
    HuberLoss,
    Linear,
    MSELoss,
    SequenceModel,
    TextModel,
    load_weights,
    save_weights,
)
from recurrio.pipeline import Trainer, fit

MAKERS: dict[str, Callable[..., Any]] = {
    "Linear(4, 4)": lambda **seed: Linear(4, 4, **seed),
    "Linear(4, 5, bias=False, dtype='float64')": lambda **seed: Linear(4, 5, False, dtype=np.float64, **seed),
    "Embedding(6, 3)": lambda **seed: Embedding(6, 3, **seed),
    "RNN(3, 4, num_layers=2, nonlinearity='relu')": lambda **seed: RNN(3, 4, 2, "relu", **seed),
    "LSTM(3, [4, 5], num_layers=2, batch_first=True)": lambda **seed: LSTM(3, (4, 5), 2, batch_first=True, **seed),
    "LSTM(3, 4, bidirectional=True, proj_size=2)": lambda **seed: LSTM(3, 4, bidirectional=True, proj_size=2, **seed),
    "GRU(3, 4, bias=False, dropout=0.5)": lambda **seed: GRU(3, 4, bias=False, dropout=0.5, **seed),
    "SequenceModel(vocabulary_size=9)": lambda **seed: SequenceModel(9, loss=CrossEntropyLoss(), **seed),
    "SequenceModel(vocabulary_size=9, hidden_size=8, cell='gru', output_size=2, output='last')": lambda **seed: (
        SequenceModel(9, hidden_size=8, cell="gru", output_size=2, output="last", **seed)
    ),
    "SequenceModel(input_size=3, hidden_size=8, output_size=2)": lambda **seed: SequenceModel(
        input_size=3, hidden_size=8, output_size=2, loss=MSELoss(), **seed
    ),
    "SequenceModel(input_size=3, output_size=2, loss=HuberLoss(reduction='sum', ignore_nan=False, delta=2.0))": (
        lambda **seed: SequenceModel(input_size=3, output_size=2, loss=HuberLoss(2, reduction="sum"), **seed)
    ),
}
every_maker = pytest.mark.parametrize(("shown", "make"), MAKERS.items(), ids=MAKERS)


@every_maker
def test_without_a_seed_each_is_another_and_can_be_made_again(shown: str, make: Callable[..., Any]) -> None:
    random.seed(0)
    np.random.seed(0)
    one = make()
    random.seed(0)
    np.random.seed(0)
    two = make(seed=None)
    assert one.seed != two.seed
    assert not np.array_equal(one.parameters, two.parameters)
    assert type(one.seed) is int
    assert np.array_equal(make(seed=one.seed).parameters, one.parameters)


@every_maker
def test_repr_is_the_call_that_makes_it_again(shown: str, make: Callable[..., Any]) -> None:
    for made in (make(), make(seed=5)):
        assert repr(made) == f"{shown[:-1]}, seed={made.seed})"
        again = eval(repr(made), vars(core).copy())
        assert repr(again) == repr(made)
        assert np.array_equal(again.parameters, made.parameters)


def test_no_default_of_a_seed_draws_the_same_twice() -> None:
    for made in (RNN, LSTM, GRU, Linear, Embedding, SequenceModel):
        assert inspect.signature(made).parameters["seed"].default is None


def test_whole_runs_repeat_by_default() -> None:
    for run in (fit, Trainer):
        assert inspect.signature(run).parameters["seed"].default == 0


@pytest.mark.parametrize("seed", [-1, 1 << 32, 1.0, "1", True, np.float32(1)])
def test_a_seed_that_is_none_is_named(seed: Any) -> None:  # noqa: ANN401
    for make in MAKERS.values():
        with pytest.raises(ArgumentError, match=r"^seed: expected a whole number from 0 to 4294967295, got "):
            make(seed=seed)


def test_a_model_is_made_from_its_config_without_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = SequenceModel(9, hidden_size=8, seed=3)
    config = json.loads(json.dumps(model.config))

    def draw(self: object, random: object) -> None:
        raise AssertionError("drawn")

    for drawing in (SequenceModel, Linear, Embedding):
        monkeypatch.setattr(drawing, "initialise", draw)
    blank = SequenceModel.from_config(config)
    assert not blank.parameters.any()
    assert blank.seed is None
    assert repr(blank) == "SequenceModel(vocabulary_size=9, hidden_size=8)"
    assert SequenceModel.from_config({**config, "seed": 3}).seed == 3
    with pytest.raises(ArgumentError, match="seed: expected a whole number"):
        SequenceModel.from_config({**config, "seed": "3"})
    blank.load_state_dict(model.state_dict())
    assert np.array_equal(blank.parameters, model.parameters)


def test_a_saved_text_model_keeps_its_seed(tmp_path: Path) -> None:
    vocabulary, path = CharVocabulary("abc"), tmp_path / "model.safetensors"
    text = TextModel(SequenceModel(len(vocabulary), hidden_size=8), vocabulary)
    text.save(path)
    again = TextModel.load(path)
    assert again.model.seed == text.model.seed
    assert repr(again) == repr(text)
    assert repr(text) == f"TextModel({text.model!r}, CharVocabulary of 4 symbols)"

    weights, metadata = load_weights(path)
    config = json.loads(metadata["model"])
    del config["seed"]  # a file of before
    save_weights(path, weights, {**metadata, "model": json.dumps(config)})
    assert TextModel.load(path).model.seed is None


def test_an_option_of_a_subclass_is_shown_by_its_own_constructor() -> None:
    class Small(Linear):
        def __init__(self, in_features: int, *, seed: int | None = None) -> None:
            super().__init__(in_features, 2, seed=seed)

    assert repr(Small(3, seed=1)) == "Small(3, seed=1)"
