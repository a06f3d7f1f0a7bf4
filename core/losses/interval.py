"""The loss of forecasts with bounds: Huber of the forecasts, and that of quantiles, the pinball loss, of the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from ..base.arena import Arena
from ..base.checks import ArgumentError, check_array, check_number
from ..base.parameters import Array
from .elementwise import ElementKernel, huber
from .loss import ElementLoss

__all__ = ["PARTS", "IntervalLoss", "targets_of"]

PARTS = 3  # outputs of a target
WEIGHT = 0.1  # of the bounds


class IntervalKernel:
    """The kernel of `IntervalLoss`: one for the rows of the forecasts; those of both bounds are done here, at once."""

    def __init__(self, loss: IntervalLoss, features: int, columns: int, dtype: np.dtype, arena: Arena) -> None:
        own, low = targets_of(features), (1 - loss.interval) / 2
        self.outputs = arena.empty((features, columns), dtype)
        rule, kernel = partial(huber, loss.delta), ("huber", loss.delta)
        self._forecasts = ElementKernel(
            rule, 1, own, columns, dtype, arena, ignore_nan=loss.ignore_nan, kernel=kernel, outputs=self.outputs[:own]
        )
        self._bounds = self.outputs[own:].reshape(2, own, columns)
        self._losses, self._ignore_nan = arena.empty((2, own, columns), dtype), loss.ignore_nan
        self._shift = np.array([-loss.shift, loss.shift], dtype)[:, None, None]
        self._lean = np.array([WEIGHT * (low - 0.5), WEIGHT * (0.5 - low)], dtype)[:, None, None]

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """See `recurrio.core.losses.loss.LossKernel`."""
        total = self._forecasts.forward(targets, mask)
        pinball(self._shift, self._lean, self._bounds, targets, self._losses)
        hidden = [] if mask is None else [~mask]
        if self._ignore_nan:
            hidden.append(np.isnan(targets))
        for where in hidden:
            np.copyto(self._losses, 0, where=where)
            np.copyto(self._bounds, 0, where=where)
        return total + float(np.add.reduce(self._losses, None, np.float64))

    def backward(self, scale: float) -> Array:
        """See `recurrio.core.losses.loss.LossKernel`."""
        return np.multiply(self.outputs, scale, out=self.outputs)


def pinball(shift: Array, lean: Array, outputs: Array, targets: Array, losses: Array) -> None:
    """With ``d = y − z − shift`` and the quantile p it is ``w·(|d|/2 + (p − ½)·d)``, where w is `WEIGHT`.

    `lean` is ``w·(p − ½)``. The derivative, ``−w·sign(d)/2 − lean``, takes the place of the outputs ``(2, F, N)``.
    """
    np.subtract(targets, outputs, losses)
    np.subtract(losses, shift, losses)
    np.sign(losses, outputs)
    np.multiply(outputs, -0.5 * WEIGHT, outputs)
    np.subtract(outputs, lean, outputs)
    np.multiply(outputs, losses, losses)
    np.negative(losses, losses)


@dataclass(frozen=True)
class IntervalLoss(ElementLoss):
    """``huber(z, y) + (pinball(l − c, y; p) + pinball(u + c, y; 1 − p)) / 10``, with ``p = (1 − interval) / 2``.

    Outputs ``(…, 3F)`` are F forecasts z, then F numbers l, and F numbers u; targets y are ``(…, F)``. The bounds are
    ``l − c`` and ``u + c``, with c, `shift`, such that they are right for l and u near 0, as at the beginning, where
    the targets are normal with a deviation of 1. The pinball loss ``p·max(y − b, 0) + (1 − p)·max(b − y, 0)`` is least
    where y is below b with the probability p; a tenth of it lets the forecasts learn nearly as well as alone. The mean
    divides by the targets that count. `interval` is between 0 and 1; `delta`, `ignore_nan` are as of `HuberLoss`.
    Source: Koenker, Bassett (1978), Regression quantiles.
    """

    interval: float = 0.9
    delta: float = 1.0
    name = "interval"

    def __post_init__(self) -> None:
        super().__post_init__()
        interval = check_number("interval", self.interval, 0, 1, open_low=True)
        if interval == 1:
            raise ArgumentError("interval", "a number above 0 and below 1", interval)
        object.__setattr__(self, "interval", interval)
        object.__setattr__(self, "delta", check_number("delta", self.delta, 0, open_low=True))

    @property
    def shift(self) -> float:
        """The distance c."""
        return NormalDist().inv_cdf((1 + self.interval) / 2)

    def target_array(self, shape: tuple[int, ...], dtype: np.dtype) -> tuple[tuple[int, ...], np.dtype]:
        """A third of the features."""
        return (*shape[:-1], targets_of(shape[-1])), dtype

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> IntervalKernel:
        """See `Loss`."""
        return IntervalKernel(self, features, columns, dtype, arena or Arena())

    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None:
        check_array("targets", targets, self.target_array(shape, dtype)[0], dtype)

    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float:
        return super()._count(targets, mask, None if features is None else targets_of(features))


def targets_of(features: int) -> int:
    """How many targets there are for so many outputs. Raises ArgumentError."""
    if features % PARTS:
        raise ArgumentError("outputs", "three for each target: a forecast and its bounds", features)
    return features // PARTS
