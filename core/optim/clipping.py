"""Gradient clipping on the flat vector, in place, by torch's definitions."""

from __future__ import annotations

import math

import numpy as np

from ..base.checks import ArgumentError, check_array, check_number, kind_of
from ..base.parameters import Array

__all__ = ["clip_norm", "clip_value"]

LIMITS = {np.dtype(dtype): np.finfo(dtype) for dtype in ("float32", "float64")}


def clip_norm(gradient: Array, max_norm: float | None) -> float:
    """Scale `gradient` ``(N,)`` in place so that its 2-norm is at most `max_norm`; return the norm before.

    As in ``torch.nn.utils.clip_grad_norm_``: the factor is ``min(1, max_norm / (norm + 1e-6))``; `max_norm` is above
    0, and with None the gradient stays. The norm of a finite gradient does not overflow, as torch's does, unless no
    float can hold it. A norm that is not finite is returned as it is, and nothing is scaled. Raises ArgumentError.
    """
    _check_gradient(gradient)
    if max_norm is not None:
        max_norm = check_number("max_norm", max_norm, 0, open_low=True)
    norm = _norm(gradient)
    if max_norm is not None and math.isfinite(norm) and (factor := max_norm / (norm + 1e-6)) < 1:
        if factor >= LIMITS[gradient.dtype].tiny:
            np.multiply(gradient, factor, out=gradient)
        else:  # too small a number to be exact in this dtype
            for _ in range(2):
                np.multiply(gradient, math.sqrt(factor), out=gradient)
    return norm


@np.errstate(over="ignore", invalid="ignore")
def _norm(gradient: Array) -> float:
    """The 2-norm, by way of the largest element where the squares are too large or too small for the dtype."""
    limits, square = LIMITS[gradient.dtype], float(np.dot(gradient, gradient))
    if limits.tiny / limits.eps <= square <= limits.max:
        return math.sqrt(square)
    largest = np.abs(gradient).max(initial=0)
    if largest == 0 or not np.isfinite(largest):
        return math.sqrt(square)
    scaled = gradient / largest
    return float(largest) * math.sqrt(np.dot(scaled, scaled))


def clip_value(gradient: Array, limit: float) -> None:
    """Bring each element of `gradient` ``(N,)`` into ``[−limit, limit]``, in place; `limit` is above 0.

    As in ``torch.nn.utils.clip_grad_value_``: an infinite element becomes ``±limit``, and one that is not a number
    stays. Raises ArgumentError.
    """
    _check_gradient(gradient)
    limit = check_number("limit", limit, 0, open_low=True)
    np.clip(gradient, -limit, limit, out=gradient)


def _check_gradient(gradient: object) -> None:
    check_array("gradient", gradient, ("N",))
    assert isinstance(gradient, np.ndarray)
    if gradient.dtype not in LIMITS:
        raise ArgumentError("gradient", "a float32 or float64 array (N,)", kind_of(gradient))
