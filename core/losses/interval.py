"""The loss of forecasts with bounds: Huber of the forecasts, and that of quantiles, the pinball loss, of the bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from ..base.arena import Arena
from ..base.checks import ArgumentError, check_array, check_number
from ..base.parameters import Array
from .elementwise import ElementKernel, huber, pinball
from .loss import ElementLoss

__all__ = ["PARTS", "IntervalLoss"]

PARTS = 3  # outputs of a target
WEIGHT = 0.1  # of the bounds


class IntervalKernel:
    """The kernel of `IntervalLoss`: one for the rows of the forecasts, and one for those of each bound."""

    def __init__(self, kernels: list[ElementKernel], outputs: Array) -> None:
        self._kernels, self.outputs = kernels, outputs

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """See `recurrio.core.losses.loss.LossKernel`."""
        total = 0.0
        for kernel in self._kernels:
            total += kernel.forward(targets, mask)
        return total

    def backward(self, scale: float) -> Array:
        """See `recurrio.core.losses.loss.LossKernel`."""
        return np.multiply(self.outputs, scale, out=self.outputs)


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
        return (*shape[:-1], _targets(shape[-1])), dtype

    def kernel(self, features: int, columns: int, dtype: np.dtype, arena: Arena | None = None) -> IntervalKernel:
        """See `Loss`."""
        own, arena, low = _targets(features), arena or Arena(), (1 - self.interval) / 2
        outputs = arena.empty((features, columns), dtype)
        c = self.shift
        rules = [partial(huber, self.delta), partial(pinball, low, -c, WEIGHT), partial(pinball, 1 - low, c, WEIGHT)]
        kernels = [
            ElementKernel(
                rule,
                1,
                own,
                columns,
                dtype,
                arena,
                ignore_nan=self.ignore_nan,
                kernel=None if part else ("huber", self.delta),
                outputs=outputs[part * own : (part + 1) * own],
            )
            for part, rule in enumerate(rules)
        ]
        return IntervalKernel(kernels, outputs)

    def _check_targets(self, shape: tuple[int, ...], dtype: np.dtype, targets: Array, mask: Array | None) -> None:
        check_array("targets", targets, self.target_array(shape, dtype)[0], dtype)

    def _count(self, targets: Array, mask: Array | None, features: int | None) -> float:
        return super()._count(targets, mask, None if features is None else _targets(features))


def _targets(features: int) -> int:
    if features % PARTS:
        raise ArgumentError("outputs", "three for each target: a forecast and its bounds", features)
    return features // PARTS
