"""Every optimizer and both kinds of clipping against torch, and what an optimizer promises besides its numbers."""

from __future__ import annotations

import tracemalloc
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from recurrio.core.base.checks import ArgumentError
from recurrio.core.optim.clipping import clip_norm, clip_value
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
@pytest.mark.parametrize("case", CASES, ids=str)
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


def test_the_learning_rate_that_is_set_is_the_one_that_is_used() -> None:
    parameters, optimizer = np.zeros(1), SGD(1.0)
    optimizer.lr = 0.25
    optimizer.step(parameters, np.ones(1), parameters)
    assert parameters.tolist() == [-0.25]


@pytest.mark.parametrize("case", CASES, ids=str)
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


@pytest.mark.parametrize("case", CASES, ids=str)
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


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_allocated_after_the_first_step(case: Case) -> None:
    parameters, gradient, optimizer = np.ones(100_000, np.float32), np.ones(100_000, np.float32), case.make()
    optimizer.step(parameters, gradient, parameters)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        optimizer.step(parameters, gradient, parameters)
        optimizer.step(parameters, gradient, parameters)
        assert tracemalloc.get_traced_memory()[1] - before < parameters.nbytes / 50
    finally:
        tracemalloc.stop()


NONSENSE = [
    *[
        (optimizer, "lr", {"lr": lr})
        for optimizer in (SGD, RMSprop, Adagrad, Adam, AdamW)
        for lr in (0, -1, float("nan"), float("inf"), "0.1", None)
    ],
    *[(optimizer, "weight_decay", {"weight_decay": -0.1}) for optimizer in (SGD, RMSprop, Adagrad, Adam, AdamW)],
    *[(optimizer, "eps", {"eps": 0}) for optimizer in (RMSprop, Adagrad, Adam, AdamW)],
    *[(optimizer, "momentum", {"momentum": -0.1}) for optimizer in (SGD, RMSprop)],
    (SGD, "dampening", {"momentum": 0.9, "dampening": 1.5}),
    (SGD, "nesterov", {"nesterov": True}),
    (SGD, "nesterov", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}),
    *[(RMSprop, "alpha", {"alpha": alpha}) for alpha in (-0.1, 1, float("nan"), "0.9")],
    (Adagrad, "lr_decay", {"lr_decay": -1}),
    (Adagrad, "initial_accumulator_value", {"initial_accumulator_value": float("inf")}),
    *[
        (optimizer, "betas", {"betas": betas})
        for optimizer in (Adam, AdamW)
        for betas in ((0.9, 1), (-0.1, 0.9), (0.9,), 0.9, (0.9, None))
    ],
]


@pytest.mark.parametrize(("optimizer", "argument", "arguments"), NONSENSE)
def test_nonsense_raises_and_names_the_argument(optimizer: type[Any], argument: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument}: expected .*, got ") as caught:
        optimizer(**arguments)
    assert caught.value.argument == argument


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
@pytest.mark.parametrize("optimizer", [SGD, RMSprop, Adagrad, Adam, AdamW])
def test_wrong_vectors_are_named_and_nothing_changes(optimizer: type[Any], wrong: str) -> None:
    arguments, message = WRONG_VECTORS[wrong]
    ours, parameters = optimizer(), np.ones(4)
    with pytest.raises(ArgumentError, match=f"^{message}"):
        ours.step(*arguments)
    assert VECTOR.tolist() == [1, 1, 1]
    ours.step(parameters, parameters.copy())  # no slot is bound to the size that was refused
    with pytest.raises(ArgumentError, match=r"parameters: expected .* first step, float64 \(4,\), got float64 \(3,\)"):
        ours.step(VECTOR, VECTOR)


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1000.0])
@pytest.mark.parametrize(("dtype", "tolerance"), DTYPES)
def test_clip_norm_is_that_of_torch(dtype: str, tolerance: float, max_norm: float, torch: ModuleType) -> None:
    gradient = start_and_gradients(1, dtype)[1][0]
    weight = torch.nn.Parameter(torch.zeros(SIZE, dtype=getattr(torch, dtype)))
    weight.grad = torch.tensor(gradient)
    norm = torch.nn.utils.clip_grad_norm_(weight, max_norm)
    assert clip_norm(gradient, max_norm) == pytest.approx(norm.item(), rel=tolerance)
    np.testing.assert_allclose(gradient, weight.grad.numpy(), rtol=tolerance)


@pytest.mark.parametrize("limit", [0.1, 1, 1000.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip_value_is_that_of_torch(dtype: str, limit: float, torch: ModuleType) -> None:
    gradient = start_and_gradients(1, dtype)[1][0]
    gradient[:3] = np.inf, -np.inf, np.nan
    weight = torch.nn.Parameter(torch.zeros(SIZE, dtype=getattr(torch, dtype)))
    weight.grad = torch.tensor(gradient)
    torch.nn.utils.clip_grad_value_(weight, limit)
    clip_value(gradient, limit)
    np.testing.assert_array_equal(gradient, weight.grad.numpy())


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_raises(limit: float) -> None:
    with pytest.raises(ArgumentError, match="limit: expected a finite number above 0"):
        clip_value(np.ones(3), limit)
