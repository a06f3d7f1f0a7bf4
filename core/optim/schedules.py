"""Learning-rate schedules: the learning rate of each step, by torch's definitions where torch has one.

A learning rate is a finite number from 0, at any step: one that grows without end stays at the largest float. An update
with such a rate is one that the training loop refuses, so there is nothing more for a schedule to say about it.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod

from ..base.checks import ArgumentError, check_count, check_number
from ..base.shown import show_call
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

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is of another schedule."""
        if part.arrays or part.about:
            raise ArgumentError(
                "schedule", "nothing, as this one keeps nothing", ", ".join([*part.arrays, *part.about])
            )

    def reset(self) -> None:  # noqa: B027 (there is nothing to forget)
        """Forget what is kept from step to step."""


def _at_most_max(rate: float) -> float:
    """`rate`, or in the place of an infinite one the largest float."""
    return min(rate, sys.float_info.max)


class ConstantLR(Schedule):
    """The same learning rate at every step: ``lr``.

    Arguments: `lr` above 0.
    """

    def __init__(self, lr: float) -> None:
        self.base_lr = check_number("lr", lr, 0, open_low=True)

    def __repr__(self) -> str:
        return show_call(self, lr=self.base_lr)

    def lr(self, step: int, loss: float | None = None) -> float:
        """See `Schedule`."""
        check_count("step", step, 0)
        return self.base_lr


class StepLR(Schedule):
    """A staircase: ``lr · gamma^⌊step / step_size⌋``.

    Arguments: `lr` and `gamma` above 0; `step_size`, the number of steps with one learning rate, at least 1.
    Source: ``torch.optim.lr_scheduler.StepLR``.
    """

    def __init__(self, lr: float, step_size: int, gamma: float = 0.1) -> None:
        self.base_lr = check_number("lr", lr, 0, open_low=True)
        self.step_size = check_count("step_size", step_size)
        self.gamma = check_number("gamma", gamma, 0, open_low=True)

    def __repr__(self) -> str:
        return show_call(self, lr=self.base_lr)

    def lr(self, step: int, loss: float | None = None) -> float:
        """See `Schedule`."""
        stairs = check_count("step", step, 0) // self.step_size
        try:
            return _at_most_max(self.base_lr * self.gamma**stairs)
        except OverflowError:  # Python's powers do not end in infinity
            return sys.float_info.max


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
        self.base_lr = check_number("lr", lr, 0, open_low=True)
        self.warmup = check_count("warmup", warmup, 0)
        self.steps = check_count("steps", steps, self.warmup + 1)
        self.min_lr = check_number("min_lr", min_lr, 0, self.base_lr)

    def __repr__(self) -> str:
        return show_call(self, lr=self.base_lr)

    def lr(self, step: int, loss: float | None = None) -> float:
        """See `Schedule`."""
        step = check_count("step", step, 0)
        if step < self.warmup:
            return _at_most_max(self.base_lr * (step + 1) / self.warmup)
        progress = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        return _at_most_max(self.min_lr + (self.base_lr - self.min_lr) * (1 + math.cos(math.pi * progress)) / 2)


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
        self.base_lr = check_number("lr", lr, 0, open_low=True)
        self.factor = check_number("factor", factor, 0, 1, open_high=True)
        self.patience = check_count("patience", patience, 0)
        self.threshold = check_number("threshold", threshold, 0, 1, open_high=True)
        self.min_lr = check_number("min_lr", min_lr, 0, self.base_lr)
        self.cooldown = check_count("cooldown", cooldown, 0)
        self.reset()

    def __repr__(self) -> str:
        return show_call(self, lr=self.base_lr)

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
        if part.about.keys() != (own := self.dump().about).keys():
            raise ArgumentError("schedule", f"the state of one, {', '.join(own)}", ", ".join(part.about))
        for name, value in part.about.items():
            setattr(self, name, value)

    def lr(self, step: int, loss: float | None = None) -> float:
        """See `Schedule`."""
        check_count("step", step, 0)
        if loss is not None:
            self._observe(float(loss))
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
