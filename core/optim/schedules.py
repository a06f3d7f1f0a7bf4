"""Learning-rate schedules: the learning rate of each step, by torch's definitions where torch has one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from ..base.checks import ArgumentError, check_count, check_number
from ..base.state import Part

__all__ = ["ConstantLR", "CosineLR", "PlateauLR", "Schedule", "StepLR"]


class Schedule(ABC):
    """The learning rate of each step. A schedule that keeps something from step to step dumps and loads it."""

    @abstractmethod
    def lr(self, step: int, loss: float | None) -> float:
        """The learning rate of step number `step` (from 0), given the mean loss of the step before (None at first).

        It is called once for each step, in order.
        """

    def dump(self) -> Part:
        """What is kept from step to step; most schedules keep nothing."""
        return Part({}, {})

    def load(self, part: Part) -> None:  # noqa: B027 (there is nothing to take up)
        """Take up what `dump` gave."""

    def reset(self) -> None:  # noqa: B027 (there is nothing to forget)
        """Forget what is kept from step to step."""


def _check_fraction(argument: str, value: float) -> None:
    check_number(argument, value, 0, 1)
    if value == 1:
        raise ArgumentError(argument, "a number below 1", repr(value))


class ConstantLR(Schedule):
    """The same learning rate at every step: ``lr``.

    Arguments: `lr` above 0.
    """

    def __init__(self, lr: float) -> None:
        check_number("lr", lr, 0, open_low=True)
        self.base_lr = lr

    def lr(self, step: int, loss: float | None) -> float:
        """See `Schedule`."""
        return self.base_lr


class StepLR(Schedule):
    """A staircase: ``lr · gamma^⌊step / step_size⌋``.

    Arguments: `lr` and `gamma` above 0; `step_size`, the number of steps with one learning rate, at least 1.
    Source: ``torch.optim.lr_scheduler.StepLR``.
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        check_number("lr", lr, 0, open_low=True)
        check_count("step_size", step_size)
        check_number("gamma", gamma, 0, open_low=True)
        self.base_lr, self.step_size, self.gamma = lr, step_size, gamma

    def lr(self, step: int, loss: float | None) -> float:
        """See `Schedule`."""
        return self.base_lr * self.gamma ** (step // self.step_size)


class CosineLR(Schedule):
    """A linear warm-up, then half a cosine down to `min_lr`::

        lr · (step + 1) / warmup                                                          for step < warmup
        min_lr + (lr − min_lr) · (1 + cos(π · (step − warmup) / (steps − warmup))) / 2    up to step = steps
        min_lr                                                                            after that

    Arguments: `lr` above 0; `warmup` from 0; `steps` above `warmup`; `min_lr` from 0 to `lr`.
    Source: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017), without the restarts;
    ``torch.optim.lr_scheduler.CosineAnnealingLR``, after ``LinearLR`` for the warm-up.
    """

    def __init__(self, lr: float, steps: int, warmup: int = 0, min_lr: float = 0.0) -> None:
        check_number("lr", lr, 0, open_low=True)
        check_count("warmup", warmup, 0)
        check_count("steps", steps, warmup + 1)
        check_number("min_lr", min_lr, 0, lr)
        self.base_lr, self.steps, self.warmup, self.min_lr = lr, steps, warmup, min_lr

    def lr(self, step: int, loss: float | None) -> float:
        """See `Schedule`."""
        if step < self.warmup:
            return self.base_lr * (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return self.min_lr + (self.base_lr - self.min_lr) * (1 + math.cos(math.pi * progress)) / 2


class PlateauLR(Schedule):
    """Lower the learning rate where the loss has stopped falling: ``lr ← max(factor · lr, min_lr)``.

    A step is good where ``loss < (1 − threshold) · best``, with `best` the loss of the last good step, and bad
    otherwise. More than `patience` bad steps in a row lower the learning rate; the `cooldown` steps that follow do not
    count as bad. A change of at most 1e-8 is not made.

    Arguments: `lr` above 0; `factor` and `threshold` in [0, 1); `patience` and `cooldown` from 0; `min_lr` from 0 to
    `lr`. Source: ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``mode="min"`` and ``threshold_mode="rel"``, fed
    with the loss of each step.
    """

    def __init__(
        self,
        lr: float,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        min_lr: float = 0.0,
        cooldown: int = 0,
    ) -> None:
        check_number("lr", lr, 0, open_low=True)
        _check_fraction("factor", factor)
        check_count("patience", patience, 0)
        _check_fraction("threshold", threshold)
        check_number("min_lr", min_lr, 0, lr)
        check_count("cooldown", cooldown, 0)
        self.factor, self.patience, self.threshold = factor, patience, threshold
        self.min_lr, self.cooldown = min_lr, cooldown
        self.base_lr = lr
        self.reset()

    def reset(self) -> None:
        """See `Schedule`."""
        self.current_lr = self.base_lr
        self.best: float | None = None  # of the good steps
        self.bad_steps = 0
        self.cooldown_left = 0

    def dump(self) -> Part:
        """See `Schedule`."""
        return Part({}, {name: getattr(self, name) for name in ("current_lr", "best", "bad_steps", "cooldown_left")})

    def load(self, part: Part) -> None:
        """See `Schedule`."""
        for name, value in part.about.items():
            setattr(self, name, value)

    def lr(self, step: int, loss: float | None) -> float:
        """See `Schedule`."""
        if loss is not None:
            self._observe(loss)
        return self.current_lr

    def _observe(self, loss: float) -> None:
        if loss < (math.inf if self.best is None else self.best) * (1 - self.threshold):
            self.best, self.bad_steps = loss, 0
        else:
            self.bad_steps += 1
        if self.cooldown_left > 0:
            self.cooldown_left, self.bad_steps = self.cooldown_left - 1, 0
        if self.bad_steps > self.patience:
            self.cooldown_left, self.bad_steps = self.cooldown, 0
            lower = max(self.current_lr * self.factor, self.min_lr)
            if self.current_lr - lower > 1e-8:
                self.current_lr = lower
