"""NumPy scalars at every door: taken where they are whole or finite, and Python's own from there on."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    GRU,
    LSTM,
    RNN,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ArgumentError,
    BCEWithLogitsLoss,
    ConstantLR,
    CosineLR,
    CrossEntropyLoss,
    Embedding,
    HuberLoss,
    Linear,
    PlateauLR,
    RMSprop,
    SequenceBatch,
    SequenceModel,
    StepLR,
    clip_norm,
    clip_value,
    shard_lanes,
)
from recurrio.core.serial import train
from recurrio.pipeline import Trainer

# Each constructor, and arguments that a float32 and an int8 hold exactly.
DOORS: list[tuple[Callable[..., Any], dict[str, Any]]] = [
    *[(layer, {"input_size": 3, "hidden_size": 4, "num_layers": 2, "dropout": 0.5}) for layer in (RNN, LSTM, GRU)],
    (RNN, {"input_size": 3, "hidden_size": [4, 5], "num_layers": 2, "bias": False, "batch_first": True}),
    (LSTM, {"input_size": 3, "hidden_size": 4, "bidirectional": True, "proj_size": 2}),
    (Linear, {"in_features": 3, "out_features": 4, "bias": False}),
    (Embedding, {"num_embeddings": 3, "embedding_dim": 4}),
    (SequenceModel, {"vocabulary_size": 5, "embedding_size": 3, "hidden_size": 4, "num_layers": 2, "dropout": 0.5}),
    (SequenceModel, {"input_size": 5, "output_size": 3, "hidden_size": 4, "bias": False, "bidirectional": True}),
    (SequenceModel, {"vocabulary_size": 5, "hidden_size": [4, 6], "num_layers": 2, "proj_size": 2}),
    (SGD, {"lr": 0.5, "momentum": 0.25, "weight_decay": 2.0, "nesterov": True}),
    (SGD, {"lr": 2.0, "momentum": 0.25, "dampening": 1}),
    (RMSprop, {"lr": 0.5, "alpha": 0.75, "eps": 0.125, "weight_decay": 2.0, "momentum": 1, "centered": True}),
    (Adagrad, {"lr": 0.5, "eps": 0.125, "lr_decay": 2, "weight_decay": 0.5, "initial_accumulator_value": 1}),
    *[(make, {"lr": 0.5, "betas": (0.5, 0.75), "eps": 0.125, "weight_decay": 2.0}) for make in (Adam, AdamW)],
    (ConstantLR, {"lr": 0.5}),
    (StepLR, {"lr": 0.5, "step_size": 3, "gamma": 0.25}),
    (CosineLR, {"lr": 0.5, "steps": 30, "warmup": 3, "min_lr": 0.25}),
    (PlateauLR, {"lr": 0.5, "factor": 0.25, "patience": 1, "threshold": 0.5, "min_lr": 0.25, "cooldown": 2}),
    (CrossEntropyLoss, {"weight": [1.0, 0.5], "ignore_index": -1, "label_smoothing": 0.25}),
    (HuberLoss, {"delta": 0.5}),
    (BCEWithLogitsLoss, {"pos_weight": [1.0, 0.5]}),
]
SCALARS: dict[str, dict[type, Callable[[Any], Any]]] = {
    "small": {bool: np.bool_, int: np.int8, float: np.float32},
    "wide": {bool: np.bool_, int: np.int64, float: np.float64},
    "widest": {bool: np.bool_, int: np.longlong, float: np.longdouble},
    "without axes": {bool: np.array, int: np.array, float: np.array},
}


def in_numpy(value: Any, kind: str) -> Any:  # noqa: ANN401 (an argument)
    if isinstance(value, list | tuple):
        return type(value)(in_numpy(part, kind) for part in value)
    return SCALARS[kind][type(value)](value)


def numbers_in(value: object) -> Iterator[object]:
    """Every number that `value` holds, in its attributes, and in theirs."""
    if isinstance(value, dict):
        yield from (number for part in value.values() for number in numbers_in(part))
    elif isinstance(value, list | tuple):
        yield from (number for part in value for number in numbers_in(part))
    elif isinstance(value, bool | int | float | np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        yield value
    elif type(value).__module__.startswith("recurrio"):
        yield from numbers_in({name: part for name, part in vars(value).items() if name not in ("layout", "cell")})


@pytest.mark.parametrize("kind", SCALARS)
@pytest.mark.parametrize(("make", "arguments"), DOORS, ids=lambda part: getattr(part, "__name__", ""))
def test_they_make_what_pythons_make(make: Callable[..., Any], arguments: dict[str, Any], kind: str) -> None:
    seed = {"seed": 3} if hasattr(make, "load_state_dict") else {}
    plain = make(**arguments, **seed)
    made = make(**{name: in_numpy(value, kind) for name, value in arguments.items()}, **seed)
    assert repr(made) == repr(plain)
    assert {type(number) for number in numbers_in(made)} <= {bool, int, float}
    if hasattr(plain, "config"):
        assert json.dumps(made.config) == json.dumps(plain.config)


@pytest.mark.parametrize("seed", [np.int64(7), np.uint32(7), np.array(7)])
def test_a_seed_may_be_numpys(seed: Any) -> None:  # noqa: ANN401
    layer = Linear(3, 4, seed=seed)
    assert type(layer.seed) is int
    assert np.array_equal(layer.parameters, Linear(3, 4, seed=7).parameters)


@pytest.mark.parametrize(("make", "arguments"), DOORS, ids=lambda part: getattr(part, "__name__", ""))
def test_nothing_else_is_taken_for_a_number(make: Callable[..., Any], arguments: dict[str, Any]) -> None:
    for name, value in arguments.items():
        one = value[0] if isinstance(value, list | tuple) else value
        wrong: list[Any] = ["1", np.complex64(1), np.timedelta64(1, "s"), np.ma.masked, np.array(["1"])]
        wrong += [1, 1.0] if isinstance(one, bool) else [True, np.True_, np.float32("nan"), np.inf]
        wrong += [10**400] if isinstance(one, float) else []
        wrong += [2.0, np.float64(2), np.float32(2.5)] if type(one) is int and name not in NUMBERS else []
        for nonsense in wrong:
            with pytest.raises(ArgumentError) as caught:
                make(**{**arguments, name: [nonsense, nonsense] if isinstance(value, list | tuple) else nonsense})
            assert caught.value.argument == name


NUMBERS = ("dampening", "momentum", "lr_decay", "initial_accumulator_value")  # which a whole number is one of


@pytest.mark.parametrize("optimizer", [SGD, RMSprop, Adagrad, Adam, AdamW])
def test_a_learning_rate_that_is_set_is_pythons_and_finite(optimizer: type[Any]) -> None:
    ours = optimizer()
    ours.lr = np.float64(0.25)
    assert type(ours.lr) is float
    ours.lr = 0  # where a schedule ends
    for wrong in (float("nan"), float("inf"), np.float32("inf"), -1, "1", None, True):
        with pytest.raises(ArgumentError, match=r"^lr: expected a finite number of at least 0"):
            ours.lr = wrong
    assert ours.lr == 0


@pytest.mark.parametrize("make", [SGD, RMSprop, Adagrad, Adam, AdamW])
def test_weight_decay_in_float64_changes_no_bit_of_float32(make: type[Any]) -> None:
    results = []
    for number in (float, np.float64):
        optimizer, parameters = make(number(0.01), weight_decay=number(0.1)), np.linspace(-1, 1, 50, dtype=np.float32)
        for _ in range(3):
            optimizer.step(parameters, np.cos(parameters))
        results.append(parameters)
    assert results[0].dtype == np.float32
    assert np.array_equal(*results)


def test_clipping_and_cutting_take_them_too() -> None:
    gradient = np.array([3, 4], np.float32)
    assert clip_norm(gradient, np.float64(2.5)) == 5
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(gradient, [1.5, 2], rtol=1e-6)
    clip_value(gradient, np.int64(1))
    assert gradient.tolist() == [1, 1]
    assert shard_lanes(np.int64(5), np.int8(2)) == [slice(0, 3), slice(3, 5)]
    assert all(type(part.stop) is int for part in shard_lanes(np.int64(5), np.int8(2)))


def test_a_reset_may_be_a_comparison_of_numpys() -> None:
    tokens = np.zeros((4, 3), int)
    for reset in (np.True_, np.False_):
        batch = SequenceBatch(tokens, tokens, reset)
        assert batch.reset is bool(reset)
        assert batch._replace(reset=np.True_).reset is True
        assert batch.lanes(slice(0, 2)).reset is bool(reset)


def test_training_takes_them(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    results = []
    for whole, number in ((int, float), (np.int64, np.float32)):
        model = SequenceModel(6, embedding_size=3, hidden_size=whole(4), seed=whole(1))
        options = {"delay": whole(1), "shards": whole(2), "ranks": whole(2), "seed": whole(3)}
        list(train(model, Adam(0.01), make_batches(4, 5, 4, 6), clip=number(0.5), blas_threads=whole(1), **options))
        results.append(model.parameters)
        trainer = Trainer(
            model, Adam(0.01), clip=number(0.5), watchdog=number(2), capacity=whole(1), blas_threads=whole(1), **options
        )
        plan = trainer._plan
        values = (plan.watchdog, plan.capacity, plan.delay, plan.shards, plan.ranks, plan.seed, plan.blas_threads)
        assert [type(value) for value in values] == [float, *[int] * 6]
    assert np.array_equal(*results)


@pytest.mark.parametrize("argument", ["delay", "shards", "ranks", "capacity", "blas_threads", "seed"])
def test_a_trainer_takes_no_bool_for_a_count(argument: str) -> None:
    model = SequenceModel(5, hidden_size=4, seed=0)
    with pytest.raises(ArgumentError, match=f"^{argument}: expected a whole number"):
        Trainer(model, Adam(), **{argument: np.True_})


def test_an_error_comes_out_of_a_process_as_it_is() -> None:
    error = ArgumentError("inputs", "an array", np.float32(2))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.argument, again.expected, again.got) == (str(error), "inputs", "an array", "2.0")
