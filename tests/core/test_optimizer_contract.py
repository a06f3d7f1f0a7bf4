"""The contract of an optimizer: every one goes through every check. A new one is a few more rows in `CASES`."""

from __future__ import annotations

import copy
import pickle
import tracemalloc
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from recurrio import core
from recurrio.core.base.checks import ArgumentError
from recurrio.core.optim import optimizers
from recurrio.core.optim.optimizer import Optimizer
from recurrio.core.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop


class Case(NamedTuple):
    """One configuration: a class of ours, which has the name of torch's, and the arguments of both."""

    optimizer: type[Any]
    arguments: dict[str, Any]

    def make(self) -> Optimizer:
        return self.optimizer(**self.arguments)

    def __str__(self) -> str:
        return "-".join([self.optimizer.__name__, *(f"{name}={value}" for name, value in self.arguments.items())])


CASES = [
    Case(SGD, {}),
    Case(SGD, {"lr": 0.01, "weight_decay": 0.1}),
    Case(SGD, {"lr": 0.01, "momentum": 0.9}),
    Case(SGD, {"lr": 0.01, "momentum": 0.9, "dampening": 0.3}),
    Case(SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True}),
    Case(SGD, {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    Case(SGD, {"lr": 0.01, "momentum": 0.5, "dampening": 1, "weight_decay": 0.1}),
    Case(RMSprop, {}),
    Case(RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
    Case(RMSprop, {"momentum": 0.9}),
    Case(RMSprop, {"centered": True}),
    Case(RMSprop, {"lr": 0.001, "alpha": 0.9, "momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    Case(Adagrad, {}),
    Case(Adagrad, {"lr": 0.05, "weight_decay": 0.1}),
    Case(Adagrad, {"lr": 0.05, "lr_decay": 0.01}),
    Case(Adagrad, {"lr": 0.05, "initial_accumulator_value": 0.1, "eps": 1e-3}),
    Case(Adagrad, {"lr": 0.05, "weight_decay": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 1}),
    Case(Adam, {}),
    Case(Adam, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3}),
    Case(Adam, {"lr": 0.01, "weight_decay": 0.1}),
    Case(AdamW, {}),
    Case(AdamW, {"lr": 0.01, "betas": (0.0, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    Case(AdamW, {"weight_decay": 0}),
]
OPTIMIZERS = list(dict.fromkeys(case.optimizer for case in CASES))
every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS)
SIZE = 200
DTYPES = [("float32", 1e-5), ("float64", 1e-10)]


@pytest.fixture
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")


def start_and_gradients(steps: int, dtype: str = "float64") -> tuple[np.ndarray, np.ndarray]:
    """Parameters, and a gradient for each step: a tenth of the elements 0, and some elements 0 for 50 steps."""
    rng = np.random.default_rng(3)
    gradients = rng.normal(size=(steps, SIZE)) * (rng.random((steps, SIZE)) > 0.1)
    gradients[:50, :10] = 0
    return rng.normal(size=SIZE).astype(dtype), gradients.astype(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
@every_case
def test_it_follows_torch_with_a_learning_rate_that_changes(
    case: Case, dtype: str, tolerance: float, torch: ModuleType
) -> None:
    parameters, gradients = start_and_gradients(100, dtype)
    weight = torch.nn.Parameter(torch.tensor(parameters))
    ours, theirs = case.make(), getattr(torch.optim, case.optimizer.__name__)([weight], **case.arguments)
    for number, gradient in enumerate(gradients):
        if number == 60:
            ours.lr = theirs.param_groups[0]["lr"] = ours.lr / 2
        weight.grad = torch.tensor(gradient)
        theirs.step()
        ours.step(parameters, gradient, parameters)
        np.testing.assert_allclose(parameters, weight.detach().numpy(), rtol=tolerance, atol=tolerance)
    assert parameters.dtype == dtype


def test_every_optimizer_is_in_the_list() -> None:
    exported = {name for name in optimizers.__all__ if name != "Optimizer"}
    assert {optimizer.__name__ for optimizer in OPTIMIZERS} == exported
    assert exported <= set(core.__all__)


@every_case
def test_the_learning_rate_that_is_set_is_the_one_that_is_used(case: Case) -> None:
    parameters, gradients = start_and_gradients(1)
    before, after = case.make(), case.make()
    after.lr = 0.0
    moved, same = parameters.copy(), parameters.copy()
    before.step(moved, gradients[0])
    after.step(same, gradients[0])
    assert not np.array_equal(moved, parameters)
    assert np.array_equal(same, parameters)
    half = case.optimizer(**{**case.arguments, "lr": before.lr / 2})
    set_to_half = case.make()
    set_to_half.lr = half.lr
    one, other = parameters.copy(), parameters.copy()
    half.step(one, gradients[0])
    set_to_half.step(other, gradients[0])
    assert np.array_equal(one, other)


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_with_the_same_bits_by_itself(case: Case, dtype: str, duplicate: Callable[[Any], Any]) -> None:
    parameters, gradients = start_and_gradients(6, dtype)
    ours = duplicate(case.make())  # before the first step too
    for gradient in gradients[:3]:
        ours.step(parameters, gradient)
    again, other = duplicate(ours), parameters.copy()
    ours.lr = again.lr / 2
    for gradient in gradients[3:]:
        again.step(other, gradient)
    ours.lr = again.lr
    for gradient in gradients[3:]:
        ours.step(parameters, gradient)
    assert np.array_equal(other, parameters)


@every_case
def test_repr_is_the_call_that_makes_it_again(case: Case) -> None:
    ours = case.make()
    parameters, gradients = start_and_gradients(1)
    ours.step(parameters, gradients[0])
    again = eval(repr(ours), vars(core).copy())
    assert repr(again) == repr(ours) == repr(case.make())
    assert {name: getattr(again, name) for name in case.arguments} == {
        name: getattr(ours, name) for name in case.arguments
    }
    assert len(repr(ours)) < 120


def test_repr_leaves_out_what_is_at_its_default() -> None:
    assert repr(Adam()) == "Adam()"
    assert repr(AdamW(0.002, (0.5, 0.9))) == "AdamW(lr=0.002, betas=(0.5, 0.9))"
    assert repr(SGD(1, momentum=0.9, nesterov=True)) == "SGD(lr=1.0, momentum=0.9, nesterov=True)"


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_step_is_too_late(case: Case, dtype: str) -> None:
    """Powers of the decay rates end at 0, and nothing overflows."""
    parameters, gradients = start_and_gradients(1, dtype)
    ours = case.make()
    ours.step(parameters, gradients[0])
    if hasattr(ours, "steps"):
        ours.steps = 10**12
    ours.step(parameters, gradients[0])
    assert np.isfinite(parameters).all()


@every_case
def test_out_may_be_the_parameters_and_nothing_else_is_written(case: Case) -> None:
    parameters, gradients = start_and_gradients(10)
    in_place, aside, by_default = case.make(), case.make(), case.make()
    current, before, other = parameters.copy(), parameters, parameters.copy()
    for gradient in gradients:
        kept_gradient, kept_before, out = gradient.copy(), before.copy(), np.full_like(before, np.nan)
        in_place.step(current, gradient, current)
        aside.step(before, gradient, out)
        by_default.step(other, gradient)
        assert np.array_equal(out, other)
        assert np.array_equal(out, current)
        assert np.array_equal(gradient, kept_gradient)
        assert np.array_equal(before, kept_before)
        before = out


@every_case
def test_the_gradient_may_be_reused(case: Case) -> None:
    """No slot is the gradient vector itself, which the loop writes the next gradient into."""
    parameters, gradients = start_and_gradients(5)
    reused, fresh = case.make(), case.make()
    buffer, current, other = np.empty(SIZE), parameters.copy(), parameters.copy()
    for gradient in gradients:
        buffer[:] = gradient
        reused.step(current, buffer, current)
        buffer[:] = np.nan
        fresh.step(other, gradient, other)
    assert np.array_equal(current, other)


@every_case
def test_nothing_is_allocated_after_the_first_step(case: Case) -> None:
    size = 1_000_000  # so that what other threads allocate meanwhile is nothing beside it
    parameters, gradient, optimizer = np.ones(size, np.float32), np.ones(size, np.float32), case.make()
    optimizer.step(parameters, gradient, parameters)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step(parameters, gradient, parameters)
        optimizer.step(parameters, gradient, parameters)
        assert tracemalloc.get_traced_memory()[1] - before < parameters.nbytes / 50
    finally:
        tracemalloc.stop()


VECTOR, FLOATS = np.ones(3), np.ones(3, np.float32)
WRONG_VECTORS: dict[str, tuple[tuple[Any, ...], str]] = {
    "a dict": ((VECTOR, {"weight": VECTOR}), r"gradient: .* like parameters \(see Module.flatten\), .*, got dict"),
    "all dicts": (({}, {}), r"parameters: expected an array \(N,\), got dict"),
    "swapped": ((VECTOR, None, VECTOR), "gradient: .*, got NoneType"),
    "shape": ((VECTOR, VECTOR[:1]), r"gradient: .*, float64 \(3,\), got float64 \(1,\)"),
    "dtype": ((VECTOR, FLOATS), r"gradient: .*, got float32 \(3,\)"),
    "out": ((VECTOR, VECTOR, VECTOR[:2]), r"out: expected a vector like parameters, .*, got float64 \(2,\)"),
    "out dtype": ((VECTOR, VECTOR, FLOATS), "out: .*, got float32"),
    "a number": ((1.0, 1.0), "parameters: .*, got float"),
}


@pytest.mark.parametrize("wrong", WRONG_VECTORS)
@every_optimizer
def test_wrong_vectors_are_named_and_nothing_changes(optimizer: type[Any], wrong: str) -> None:
    arguments, message = WRONG_VECTORS[wrong]
    ours, parameters = optimizer(), np.ones(4)
    with pytest.raises(ArgumentError, match=f"^{message}"):
        ours.step(*arguments)
    assert VECTOR.tolist() == [1, 1, 1]
    ours.step(parameters, parameters.copy())  # no slot is bound to the size that was refused
    with pytest.raises(ArgumentError, match=r"parameters: expected .* first step, float64 \(4,\), got float64 \(3,\)"):
        ours.step(VECTOR, VECTOR)
