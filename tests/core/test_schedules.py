"""The schedules against torch's, and where the training loop asks for the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from recurrio.core import SequenceBatch, SequenceModel
from recurrio.core.base.checks import ArgumentError
from recurrio.core.optim.optimizers import SGD
from recurrio.core.optim.schedules import ConstantLR, CosineLR, PlateauLR, Schedule, StepLR
from recurrio.core.serial import train


@pytest.fixture
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="torch is the second opinion; install recurrio[bench]")


def rates(schedule: Schedule, losses: list[float]) -> list[float]:
    """The learning rates of as many steps as there are `losses`, and of one more."""
    return [schedule.lr(step, loss) for step, loss in enumerate([None, *losses])]


def torch_rates(torch: ModuleType, lr: float, make: Callable[[Any], Any], losses: list[float]) -> list[float]:
    """The same of the torch scheduler that `make` makes of an optimizer."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    found = [optimizer.param_groups[0]["lr"]]
    for loss in losses:
        optimizer.step()
        scheduler.step(*[loss] * isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau))
        found.append(optimizer.param_groups[0]["lr"])
    return found


def test_constant() -> None:
    assert rates(ConstantLR(0.3), [1.0, 2.0]) == [0.3] * 3


@pytest.mark.parametrize(("step_size", "gamma"), [(1, 0.9), (7, 0.1), (10, 1.1), (100, 0.5)])
def test_step_is_that_of_torch(step_size: int, gamma: float, torch: ModuleType) -> None:
    theirs = torch_rates(
        torch, 0.2, lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, step_size, gamma), [0.0] * 50
    )
    assert rates(StepLR(0.2, step_size, gamma), [0.0] * 50) == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("warmup", [0, 2, 9])
@pytest.mark.parametrize("min_lr", [0.0, 0.01])
def test_cosine_is_that_of_torch(min_lr: float, warmup: int, torch: ModuleType) -> None:
    schedulers = torch.optim.lr_scheduler

    def make(optimizer: Any) -> Any:  # noqa: ANN401 (a torch optimizer and scheduler)
        if not warmup:
            return schedulers.CosineAnnealingLR(optimizer, 40, min_lr)
        rise = schedulers.LinearLR(optimizer, 1 / warmup, 1.0, warmup - 1)
        fall = schedulers.CosineAnnealingLR(optimizer, 40 - warmup, min_lr)
        return schedulers.SequentialLR(optimizer, [rise, fall], [warmup])

    theirs = torch_rates(torch, 0.2, make, [0.0] * 40)
    assert rates(CosineLR(0.2, 40, warmup, min_lr), [0.0] * 40) == pytest.approx(theirs, rel=1e-9, abs=1e-15)


def test_cosine_by_hand() -> None:
    found = rates(CosineLR(1.0, 8, warmup=4, min_lr=0.5), [0.0] * 10)
    quarter = 0.25 * math.sqrt(0.5)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.75 + quarter, 0.75, 0.75 - quarter, 0.5, 0.5, 0.5])
    assert rates(CosineLR(1.0, 2, warmup=1), [0.0] * 3) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 2},
        {"patience": 0, "factor": 0.5, "min_lr": 0.001},
        {"patience": 1, "factor": 0.7, "threshold": 0.05, "cooldown": 3},
        {"patience": 0, "factor": 0, "cooldown": 1, "min_lr": 0.01},
        {"patience": 0, "factor": 0.3, "threshold": 0},  # down to where torch's eps holds it
        {},
    ],
    ids=str,
)
def test_plateau_is_that_of_torch(arguments: dict[str, Any], torch: ModuleType) -> None:
    rng = np.random.default_rng(5)
    losses = [*(np.exp(-np.arange(100) / 30) + rng.normal(scale=0.1, size=100)).tolist(), math.nan, math.inf, 0.0, -1.0]
    theirs = torch_rates(
        torch, 0.2, lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments), losses
    )
    assert len(set(theirs)) > 1
    assert rates(PlateauLR(0.2, **arguments), losses) == theirs


@pytest.mark.parametrize(
    ("make", "argument"),
    [
        *[
            (lambda make=make, lr=lr: make(lr), "lr")
            for make in (ConstantLR, lambda lr: StepLR(lr, 5), lambda lr: CosineLR(lr, 5), PlateauLR)
            for lr in (0, -1, float("nan"), float("inf"), None)
        ],
        (lambda: StepLR(1, 0), "step_size"),
        (lambda: StepLR(1, 2.5), "step_size"),
        (lambda: StepLR(1, 2, 0), "gamma"),
        (lambda: CosineLR(1, 0), "steps"),
        (lambda: CosineLR(1, 5, warmup=5), "steps"),
        (lambda: CosineLR(1, 5, warmup=-1), "warmup"),
        (lambda: CosineLR(1, 5, min_lr=2), "min_lr"),
        (lambda: PlateauLR(1, factor=1), "factor"),
        (lambda: PlateauLR(1, factor=-0.1), "factor"),
        (lambda: PlateauLR(1, patience=-1), "patience"),
        (lambda: PlateauLR(1, threshold=-1e-4), "threshold"),
        (lambda: PlateauLR(1, min_lr=-1), "min_lr"),
        (lambda: PlateauLR(1, cooldown=-1), "cooldown"),
    ],
)
def test_nonsense_raises_and_names_the_argument(make: Callable[[], Schedule], argument: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^{argument}: expected .*, got ") as caught:
        make()
    assert caught.value.argument == argument


class Recorded:
    """A schedule that halves at each step, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float | None]] = []

    def lr(self, step: int, loss: float | None) -> float:
        self.asked.append((step, loss))
        return 0.5**step


class Noting(SGD):
    """SGD that keeps the learning rate of each step."""

    def __init__(self) -> None:
        super().__init__(7.0)
        self.used: list[float] = []

    def step(self, parameters: np.ndarray, gradient: np.ndarray, out: np.ndarray) -> None:
        self.used.append(self.lr)
        super().step(parameters, gradient, out)


@pytest.mark.parametrize("delay", [0, 2])
def test_train_asks_before_each_update(delay: int, make_batches: Callable[..., list[SequenceBatch]]) -> None:
    schedule, optimizer = Recorded(), Noting()
    model = SequenceModel(6, embedding_size=3, hidden_size=4, dtype="float64", seed=1)
    steps = list(train(model, optimizer, make_batches(4, 5, 2, 6), schedule=schedule, delay=delay))
    assert optimizer.used == [1, 0.5, 0.25, 0.125]
    assert schedule.asked == [(0, None), *((step.step, step.loss) for step in steps[:-1])]
