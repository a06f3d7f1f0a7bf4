"""The updater: what an update that is refused leaves behind, for every optimizer and schedule; and whose they are."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ArgumentError,
    ConstantLR,
    NonFiniteError,
    PlateauLR,
    RMSprop,
    SequenceBatch,
    SequenceModel,
)
from recurrio.core.optim.optimizer import is_finite
from recurrio.core.optim.schedules import Schedule
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import train

HUGE = 1e39  # infinite in float32
OPTIMIZERS: dict[str, Callable[[float], Any]] = {
    "sgd": SGD,
    "momentum": lambda lr: SGD(lr, momentum=0.9),
    "rmsprop": lambda lr: RMSprop(lr, momentum=0.9, centered=True),
    "adagrad": lambda lr: Adagrad(lr, lr_decay=0.1),
    "adam": lambda lr: Adam(lr, weight_decay=0.1),
    "adamw": AdamW,
}


class Jump(Schedule):
    """The optimizer's own learning rate, but at one step a huge one; it counts how often it was asked."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def lr(self, step: int, loss: float | None) -> float:
        self.count += 1
        return HUGE if step == self.at else 0.01

    def dump(self) -> Any:  # noqa: ANN401 (a Part)
        part = super().dump()
        return part._replace(about={"count": self.count})

    def load(self, part: Any) -> None:  # noqa: ANN401 (a Part)
        self.count = part.about["count"]


def bits(updater: Updater) -> tuple[list[bytes], dict[str, Any]]:
    part = updater.dump()
    return [array.tobytes() for array in part.arrays.values()], part.about


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_refused_update_changes_nothing(name: str, shards: int) -> None:
    rng = np.random.default_rng(0)
    updater = Updater(OPTIMIZERS[name](0.01), clip=5.0, schedule=Jump(3))
    rows = [rng.standard_normal(50).astype(np.float32), np.empty(50, np.float32)]
    for number in range(3):
        parts = [rng.standard_normal(50).astype(np.float32) for _ in range(shards)]
        updater.apply(number, rows[0], parts, 1.0, rows[1])
        rows.reverse()
    before, parameters = bits(updater), rows[0].copy()
    gradient = [np.full(50, 1e3, np.float32) for _ in range(shards)]
    with pytest.raises(NonFiniteError, match="the update made a parameter infinite"):
        updater.apply(3, rows[0], gradient, 1.0, rows[1])
    assert bits(updater) == before
    assert np.array_equal(rows[0], parameters)
    with pytest.raises(NonFiniteError, match="the gradient norm is nan"):
        updater.apply(3, rows[0], [np.full(50, np.nan, np.float32)] * shards, 1.0, rows[1])
    assert bits(updater) == before


def test_a_slot_that_is_not_finite_is_refused_too() -> None:
    """The square of a gradient of 1e25 is infinite in float32, and the step it gives is 0, which looks well."""
    updater = Updater(Adam(0.01))
    parameters, out = np.zeros(3, np.float32), np.empty(3, np.float32)
    updater.apply(0, parameters, [np.ones(3, np.float32)], 1.0, out)
    before = bits(updater)
    with pytest.raises(NonFiniteError):
        updater.apply(1, parameters, [np.full(3, 1e25, np.float32)], 1.0, out)
    assert bits(updater) == before


def test_an_optimizer_that_raises_half_way_has_not_stepped() -> None:
    class Broken(Adam):
        def update(self, *vectors: Any) -> None:  # noqa: ANN401
            super().update(*vectors)
            if self.steps == 2:
                raise OSError("broken")

    updater = Updater(Broken(0.01), schedule=PlateauLR(0.1, patience=0))
    parameters, out = np.zeros(3, np.float32), np.empty(3, np.float32)
    updater.apply(0, parameters, [np.ones(3, np.float32)], 1.0, out)
    before = bits(updater)
    with pytest.raises(OSError, match="broken"):
        updater.apply(1, parameters, [np.ones(3, np.float32)], 2.0, out)
    assert bits(updater) == before


def test_the_serial_loop_keeps_what_was_there(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    model, optimizer = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1), Adagrad(1e39)
    before = model.parameters.copy()
    with pytest.raises(NonFiniteError):
        list(train(model, optimizer, make_batches(1, 5, 2, 6)))
    assert np.array_equal(model.parameters, before)
    assert optimizer.steps == 0
    assert not any(slot.any() for slot in optimizer.slots.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@np.errstate(over="ignore", invalid="ignore")
def test_is_finite(value: float) -> None:
    vector = np.full(1000, 3e38, np.float32)  # whose sum is not finite
    assert is_finite(vector)
    assert is_finite(np.zeros(3))
    vector[567] = value
    assert not is_finite(vector)
    assert not is_finite(np.array([value, -value, 1]))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_goes_out_and_in_again(name: str) -> None:
    rng = np.random.default_rng(0)

    def run(updater: Updater, parameters: np.ndarray, numbers: range) -> np.ndarray:
        for number in numbers:
            out = np.empty_like(parameters)
            gradient = np.random.default_rng(number).standard_normal(50).astype(np.float32)
            updater.apply(number, parameters, [gradient], float(number % 3), out)
            parameters = out
        return parameters

    def make() -> Updater:
        return Updater(OPTIMIZERS[name](0.1), schedule=PlateauLR(0.1, 0.5, 1))

    first, second = make(), make()
    start = rng.standard_normal(50).astype(np.float32)
    middle = run(first, start, range(5))
    second.load(first.dump())
    assert bits(second) == bits(first)
    assert np.array_equal(run(second, middle, range(5, 12)), run(first, middle, range(5, 12)))
    first.reset()
    before, after = make().dump().about, first.dump().about
    before["optimizer"]["lr"] = after["optimizer"]["lr"]  # the schedule sets it before it is used
    assert after == before
    assert not first.dump().arrays


def test_a_state_of_another_optimizer_is_refused_and_changes_nothing() -> None:
    adam, sgd = Updater(Adam(0.1)), Updater(SGD(0.1, momentum=0.9))
    for updater in (adam, sgd):
        updater.apply(0, np.ones(4), [np.ones(4)], 1.0, np.empty(4))
    before = bits(adam)
    with pytest.raises(ArgumentError, match="optimizer: expected the state of an Adam, got SGD"):
        adam.load(sgd.dump())
    with pytest.raises(ArgumentError, match="state: expected one of optimizer, got"):
        adam.load(Updater(Adam(0.1), schedule=ConstantLR(0.1)).dump())
    assert bits(adam) == before


@pytest.mark.parametrize("kind", ["optimizer", "schedule"])
def test_what_keeps_something_is_for_one_model(kind: str, make_batches: Callable[..., list[SequenceBatch]]) -> None:
    shared: dict[str, Any] = {"optimizer": Adam(0.01), "schedule": PlateauLR(0.01)}
    batches, models = make_batches(2, 5, 2, 6), [SequenceModel(6, hidden_size=4) for _ in range(2)]

    def run(model: SequenceModel, **parts: Any) -> None:  # noqa: ANN401
        list(train(model, batches=batches, **{"optimizer": Adam(0.01), **parts}))

    run(models[0], **{kind: shared[kind]})
    run(models[0], **{kind: shared[kind]})  # it goes on with the same model
    name = type(shared[kind]).__name__
    with pytest.raises(ArgumentError, match=f"{kind}: expected a new {name} for each model, got the {name} that"):
        run(models[1], **{kind: shared[kind]})
    run(models[1], **{kind: copy.deepcopy(shared[kind])})
    constant = ConstantLR(0.01)  # it keeps nothing
    for model in models:
        run(model, schedule=constant)


def test_a_loss_that_is_not_finite_is_refused() -> None:
    updater, out = Updater(Adam(0.01)), np.empty(3)
    with pytest.raises(NonFiniteError, match="the loss is inf"):
        updater.apply(0, np.zeros(3), [np.ones(3)], float("inf"), out)
    assert updater.dump().about["loss"] is None


def test_an_optimizer_may_have_a_step_alone(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    class Own:
        def step(self, parameters: np.ndarray, gradient: np.ndarray, out: np.ndarray) -> None:
            np.subtract(parameters, 0.1 * gradient, out)

    model = SequenceModel(6, hidden_size=4, seed=0)
    before = model.parameters.copy()
    list(train(model, Own(), make_batches(2, 5, 2, 6)))
    assert not np.array_equal(model.parameters, before)


def test_whose_a_schedule_is_goes_by_the_object(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    @dataclass
    class Equal(Jump):
        at: int = 99
        count: int = 0

    for _ in range(2):  # two that are equal, and cannot be hashed, for two models
        list(train(SequenceModel(6, hidden_size=4), Adam(0.01), make_batches(2, 5, 2, 6), schedule=Equal()))


def test_who_was_refused_has_claimed_nothing() -> None:
    models, schedule, optimizer = [SequenceModel(6, hidden_size=4) for _ in range(2)], PlateauLR(0.1), Adam(0.01)
    Updater(Adam(0.01), None, schedule).claim(models[0])
    with pytest.raises(ArgumentError, match="schedule"):
        Updater(optimizer, None, schedule).claim(models[1])
    Updater(optimizer).claim(models[0])
    updater = Updater(optimizer)
    updater.reset()
    updater.claim(models[1])
