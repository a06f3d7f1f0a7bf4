"""Optimizers and clipping on the flat parameter vector, by torch's definitions."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from .parameters import Array

__all__ = ["Adagrad", "Adam", "Optimizer", "clip_norm"]


class Optimizer(Protocol):
    """What the loop needs of an optimizer. Its slots are made at the first step, for that vector's size."""

    lr: float

    def step(self, parameters: Array, gradient: Array, out: Array) -> None:
        """Write the updated `parameters` into `out`, which may be the same vector. `gradient` stays as it is."""
        ...


def clip_norm(gradient: Array, max_norm: float | None) -> float:
    """Scale `gradient` in place so that its 2-norm is at most `max_norm`; return the norm before.

    As in ``torch.nn.utils.clip_grad_norm_``: the factor is ``min(1, max_norm / (norm + 1e-6))``. With `max_norm`
    None the gradient stays. A norm that is not finite is returned as it is, and nothing is scaled.
    """
    norm = math.sqrt(np.dot(gradient, gradient))
    if max_norm is not None and math.isfinite(norm) and (factor := max_norm / (norm + 1e-6)) < 1:
        np.multiply(gradient, factor, out=gradient)
    return norm


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite number above 0, got {value!r}")


class Adagrad:
    """``s ← s + g²;  p ← p − lr · g / (√s + eps)``, with s = 0 at first.

    Source: Duchi, Hazan and Singer, "Adaptive subgradient methods" (2011); ``torch.optim.Adagrad``.
    """

    def __init__(self, lr: float = 0.01, eps: float = 1e-10) -> None:
        _positive("lr", lr)
        _positive("eps", eps)
        self.lr, self.eps = lr, eps
        self._sum: Array | None = None

    def step(self, parameters: Array, gradient: Array, out: Array) -> None:
        """See `Optimizer`."""
        if self._sum is None:
            self._sum, self._scratch = np.zeros_like(parameters), np.empty_like(parameters)
        total, scratch = self._sum, self._scratch
        np.multiply(gradient, gradient, scratch)
        np.add(total, scratch, total)
        np.sqrt(total, scratch)
        np.add(scratch, self.eps, scratch)
        np.divide(gradient, scratch, scratch)
        np.multiply(scratch, self.lr, scratch)
        np.subtract(parameters, scratch, out)


class Adam:
    """Adam with bias correction: ``p ← p − lr · m̂ / (√v̂ + eps)``.

    ``m ← β₁m + (1−β₁)g``, ``v ← β₂v + (1−β₂)g²``, ``m̂ = m / (1−β₁ⁿ)``, ``v̂ = v / (1−β₂ⁿ)`` at step n from 1.
    Source: Kingma and Ba, "Adam" (2015); ``torch.optim.Adam``.
    """

    def __init__(self, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        _positive("lr", lr)
        _positive("eps", eps)
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: expected two numbers in [0, 1), got {betas!r}")
        self.lr, self.betas, self.eps = lr, betas, eps
        self._steps = 0
        self._mean: Array | None = None

    def step(self, parameters: Array, gradient: Array, out: Array) -> None:
        """See `Optimizer`."""
        if self._mean is None:
            self._mean, self._square = np.zeros_like(parameters), np.zeros_like(parameters)
            self._scratch = np.empty_like(parameters)
        mean, square, scratch = self._mean, self._square, self._scratch
        beta_1, beta_2 = self.betas
        self._steps += 1
        np.multiply(gradient, 1 - beta_1, scratch)
        np.multiply(mean, beta_1, mean)
        np.add(mean, scratch, mean)
        np.multiply(gradient, gradient, scratch)
        np.multiply(scratch, 1 - beta_2, scratch)
        np.multiply(square, beta_2, square)
        np.add(square, scratch, square)
        np.sqrt(square, scratch)
        np.multiply(scratch, 1 / math.sqrt(1 - beta_2**self._steps), scratch)
        np.add(scratch, self.eps, scratch)
        np.divide(mean, scratch, scratch)
        np.multiply(scratch, self.lr / (1 - beta_1**self._steps), scratch)
        np.subtract(parameters, scratch, out)
