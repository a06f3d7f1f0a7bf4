"""The contract of a schedule: every one goes through every check. A new one is a few more rows in `CASES`."""

from __future__ import annotations

import copy
import math
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from recurrio import core
from recurrio.core import (
    SGD,
    ArgumentError,
    ConstantLR,
    CosineLR,
    NonFiniteError,
    PlateauLR,
    SequenceBatch,
    SequenceModel,
    StepLR,
)
from recurrio.core.optim import schedules
from recurrio.core.optim.schedules import Schedule
from recurrio.core.serial import train


class Case(NamedTuple):
    """A class, and the arguments of one configuration."""

    schedule: type[Any]
    arguments: dict[str, Any]

    def make(self) -> Schedule:
        return self.schedule(**self.arguments)

    def __str__(self) -> str:
        return "-".join([self.schedule.__name__, *(f"{name}={value}" for name, value in self.arguments.items())])


CASES = [
    Case(ConstantLR, {"lr": 0.3}),
    Case(ConstantLR, {"lr": sys.float_info.max}),
    Case(StepLR, {"lr": 0.2, "step_size": 7}),
    Case(StepLR, {"lr": 1e-3, "step_size": 1, "gamma": 1.1}),
    Case(StepLR, {"lr": 1e300, "step_size": 1, "gamma": 1e200}),
    Case(StepLR, {"lr": 1e-300, "step_size": 1, "gamma": 1e-200}),
    Case(CosineLR, {"lr": 0.2, "steps": 40}),
    Case(CosineLR, {"lr": 0.2, "steps": 40, "warmup": 9, "min_lr": 0.01}),
    Case(CosineLR, {"lr": 1.7e308, "steps": 40, "warmup": 20}),
    Case(PlateauLR, {"lr": 0.2}),
    Case(PlateauLR, {"lr": 0.2, "factor": 0.5, "patience": 1, "threshold": 0.05, "min_lr": 0.001, "cooldown": 3}),
    Case(PlateauLR, {"lr": 0.2, "factor": 0, "patience": 0}),
]
every_case = pytest.mark.parametrize("case", CASES, ids=str)
LATE = [0, 1, 2, 20, 21, 40, 10_000, 2**31, 10**12, 10**18]
LOSSES = [*np.random.default_rng(5).normal(1, 0.3, 30).tolist(), math.nan, math.inf, 0.0, -1.0]


def rates(schedule: Schedule, losses: list[Any]) -> list[float]:
    """The learning rates of as many steps as there are `losses`, and of one more."""
    return [schedule.lr(step, loss) for step, loss in enumerate([None, *losses])]


def test_every_schedule_is_in_the_list() -> None:
    exported = {name for name in schedules.__all__ if name != "Schedule"}
    assert {case.schedule.__name__ for case in CASES} == exported
    assert exported <= set(core.__all__)


@every_case
def test_a_learning_rate_is_pythons_and_finite_at_any_step(case: Case) -> None:
    schedule = case.make()
    for step in LATE:
        rate = schedule.lr(step, 1.0)
        assert type(rate) is float
        assert 0 <= rate <= sys.float_info.max
        assert schedule.lr(step) >= 0  # the loss can be left out


@every_case
def test_the_optimizer_takes_every_learning_rate(case: Case) -> None:
    schedule, optimizer = case.make(), SGD()
    for step in LATE:
        optimizer.lr = schedule.lr(step, 1.0)


@every_case
def test_numpys_steps_and_losses_are_taken(case: Case) -> None:
    ours = rates(case.make(), LOSSES)
    schedule = case.make()
    theirs = [
        schedule.lr(np.int64(step), None if loss is None else np.float64(loss))
        for step, loss in enumerate([None, *LOSSES])
    ]
    assert theirs == ours
    assert {type(rate) for rate in theirs} == {float}
    assert all(type(value) in (int, float) for value in vars(schedule).values())


@every_case
@pytest.mark.parametrize("step", [-1, 1.5, None, True, "1"])
def test_a_step_that_is_none_is_named(case: Case, step: Any) -> None:  # noqa: ANN401
    with pytest.raises(ArgumentError, match=r"^step: expected a whole number of at least 0, got "):
        case.make().lr(step, None)


@every_case
@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_by_itself(case: Case, duplicate: Callable[[Any], Any]) -> None:
    ours = case.make()
    start = rates(ours, LOSSES[:15])
    again = duplicate(ours)
    rest = [again.lr(step, LOSSES[step - 1]) for step in range(16, len(LOSSES) + 1)]
    same = [ours.lr(step, LOSSES[step - 1]) for step in range(16, len(LOSSES) + 1)]
    assert rest == same
    assert start + rest == rates(case.make(), LOSSES)


@every_case
def test_repr_is_the_call_that_makes_it_again(case: Case) -> None:
    ours = case.make()
    rates(ours, LOSSES)
    again = eval(repr(ours), vars(core).copy())
    assert repr(again) == repr(ours) == repr(case.make())
    assert rates(again, LOSSES) == rates(case.make(), LOSSES)


@every_case
def test_all_but_plateau_are_pure(case: Case) -> None:
    schedule = case.make()
    if isinstance(schedule, PlateauLR):
        assert rates(schedule, LOSSES) == rates(case.make(), LOSSES)
        return
    forward = [schedule.lr(step, None) for step in range(30)]
    assert [schedule.lr(step, 1.0) for step in reversed(range(30))] == forward[::-1]


def test_one_that_grows_without_end_stays_at_the_largest_float() -> None:
    schedule = StepLR(1e-3, 1, gamma=1.1)
    found = [schedule.lr(step) for step in range(0, 20_000, 100)]
    assert found == sorted(found)
    assert found[1] == 1e-3 * 1.1**100
    assert found[-1] == sys.float_info.max


def test_the_loop_refuses_the_update_that_is_too_large(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    steps = train(model, SGD(), make_batches(2, 5, 2, 6), schedule=StepLR(1e-3, 1, gamma=1e300))
    next(steps)
    with pytest.raises(NonFiniteError, match="the update made a parameter infinite"):
        next(steps)


def test_a_learning_rate_of_ones_own_schedule_is_checked(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    class Endless:
        def lr(self, step: int, loss: float | None) -> float:
            return math.inf

    model = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    before = model.parameters.copy()
    with pytest.raises(ArgumentError, match="lr: expected a finite number of at least 0, got inf"):
        list(train(model, SGD(), make_batches(2, 5, 2, 6), schedule=Endless()))
    assert np.array_equal(model.parameters, before)
