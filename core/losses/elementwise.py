"""Losses that are a sum over elements: squared error, Huber, and binary cross-entropy, on feature-major columns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..base import compiled
from ..base.arena import Arena
from ..base.parameters import Array

__all__ = ["ElementKernel", "binary", "huber", "squared"]


class ElementKernel:
    """The kernel of a loss that is a sum over elements.

    `rule(outputs, targets, losses, *scratch)` writes the loss of each element into ``losses`` and its derivative
    into ``outputs``; all are ``(F, N)``, and `buffers` is how many there are from ``losses`` on. The `kernel`,
    where there is one, does the same, with the numbers that follow its name. With `ignore_nan`
    an element whose target is NaN is hidden, as a mask hides a column. `outputs` can be those of somebody else.
    """

    def __init__(
        self,
        rule: Callable[..., None],
        buffers: int,
        features: int,
        columns: int,
        dtype: np.dtype,
        arena: Arena | None = None,
        *,
        ignore_nan: bool = False,
        kernel: tuple[str, *tuple[float, ...]] | None = None,
        outputs: Array | None = None,
    ) -> None:
        arena = arena or Arena()
        self.outputs = arena.empty((features, columns), dtype) if outputs is None else outputs
        self._ignore_nan = ignore_nan
        self._kernel = kernel[0] if kernel is not None and compiled.has(kernel[0], dtype) else None
        self._numbers = [np.array([number], dtype) for number in kernel[1:]] if kernel is not None else []
        self._rule, self._buffers = rule, arena.empty((buffers, features, columns), dtype)

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """See `recurrio.core.losses.loss.LossKernel`."""
        losses = self._buffers[0]
        if self._kernel is not None and targets.flags.aligned:
            compiled.bind(self._kernel, self.outputs, targets, losses, *self._numbers)()
        else:
            self._rule(self.outputs, targets, *self._buffers)
        hidden = [] if mask is None else [~mask]
        if self._ignore_nan:
            hidden.append(np.isnan(targets))
        for where in hidden:
            np.copyto(losses, 0, where=where)
            np.copyto(self.outputs, 0, where=where)
        return float(np.add.reduce(losses, None, np.float64))

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
