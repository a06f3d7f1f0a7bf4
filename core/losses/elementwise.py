"""Losses that are a sum over elements: squared error, Huber, and binary cross-entropy, on feature-major columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array

__all__ = ["ElementKernel", "binary", "huber", "squared"]


class ElementKernel:
    """The kernel of a loss that is a sum over elements.

    `rule(outputs, targets, losses, *scratch)` writes the loss of each element into ``losses`` and its derivative
    into ``outputs``; all are ``(F, N)``, and `buffers` is how many there are from ``losses`` on.
    """

    def __init__(
        self,
        rule: Callable[..., None],
        buffers: int,
        features: int,
        columns: int,
        dtype: np.dtype,
        arena: Arena | None = None,
    ) -> None:
        arena = arena or Arena()
        self.outputs = arena.empty((features, columns), dtype)
        self._rule, self._buffers = rule, arena.empty((buffers, features, columns), dtype)

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """See `recurrio.core.losses.loss.LossKernel`."""
        self._rule(self.outputs, targets, *self._buffers)
        losses = self._buffers[0]
        if mask is not None:
            hidden = ~mask
            np.copyto(losses, 0, where=hidden)
            np.copyto(self.outputs, 0, where=hidden)
        return float(losses.sum(dtype=np.float64))

    def backward(self, scale: float) -> Array:
        """See `recurrio.core.losses.loss.LossKernel`."""
        return np.multiply(self.outputs, scale, out=self.outputs)


def squared(outputs: Array, targets: Array, losses: Array) -> None:
    """``d²`` for the difference ``d`` of an output from its target; the derivative is ``2d``."""
    np.subtract(outputs, targets, outputs)
    np.multiply(outputs, outputs, losses)
    np.multiply(outputs, 2, outputs)


def huber(delta: float, outputs: Array, targets: Array, losses: Array) -> None:
    """With ``c``, the difference clipped to ±δ, both branches are ``c·(d − c/2)``, and the derivative is ``c``."""
    np.subtract(outputs, targets, losses)
    np.clip(losses, -delta, delta, out=outputs)
    np.multiply(losses, 2, losses)
    np.subtract(losses, outputs, losses)
    np.multiply(losses, outputs, losses)
    np.multiply(losses, 0.5, losses)


def binary(positive: Array | float, outputs: Array, targets: Array, losses: Array, *scratch: Array) -> None:
    """The derivative is ``(1−y)·σ(z) − p·y·σ(−z)``. No difference is near 0 in the tails, so they stay precise."""
    yes, no, product = scratch
    np.negative(outputs, yes)
    np.negative(np.logaddexp(yes, 0, yes), yes)  # log σ(z)
    np.negative(np.logaddexp(outputs, 0, no), no)  # log(1 − σ(z)) = log σ(−z)
    np.subtract(1, targets, outputs)
    np.multiply(targets, positive, losses)
    np.multiply(outputs, no, product)
    np.multiply(losses, np.exp(no, no), no)
    np.multiply(losses, yes, losses)
    np.add(losses, product, losses)
    np.negative(losses, losses)
    np.multiply(outputs, np.exp(yes, yes), outputs)
    np.subtract(outputs, no, outputs)
