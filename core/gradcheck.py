"""A gradient against the slope of the function, for whoever writes a new cell or loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .base.checks import ArgumentError, check_unmasked
from .base.parameters import Array

__all__ = ["directional_error"]


def directional_error(
    function: Callable[[], float], array: Array, gradient: Array, *, rng: np.random.Generator, step: float = 1e-3
) -> float:
    """The relative error of `gradient`, of `function` by `array`, along a direction drawn from `rng`.

    `array` is a float64 array that `function` reads; it is moved along the direction and put back. The direction is a
    random one plus that of the gradient, so that the slope is never small beside the gradient. It is taken by the
    five-point rule, whose error is of order ``step⁴``; rounding is divided by `step`. A right gradient of a smooth
    function comes out below 1e-6. Raises ArgumentError.
    """
    check_unmasked("array", array)
    check_unmasked("gradient", gradient)
    if array.dtype != np.float64:
        raise ArgumentError("array", "float64", array.dtype)
    if gradient.shape != array.shape:
        raise ArgumentError("gradient", f"the shape {array.shape} of the array", gradient.shape)
    direction, before = rng.standard_normal(array.shape), array.copy()
    direction /= float(np.linalg.norm(direction))
    if gradient.any():
        direction += gradient / np.linalg.norm(gradient)

    def ahead(steps: int) -> float:
        array[...] = before + steps * step * direction
        return function()

    try:
        slope = (8 * (ahead(1) - ahead(-1)) - (ahead(2) - ahead(-2))) / (12 * step)
    finally:
        array[...] = before
    expected = float((gradient * direction).sum())
    return float(abs(slope - expected) / max(abs(slope), abs(expected), np.finfo(float).tiny))
