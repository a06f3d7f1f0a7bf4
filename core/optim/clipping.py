"""Gradient clipping on the flat vector, in place, by torch's definitions."""

from __future__ import annotations

import math

import numpy as np

from ..base.checks import ArgumentError, check_array, check_number, kind_of
from ..base.parameters import Array

__all__ = ["clip", "clip_norm", "clip_value"]

TINY = {np.dtype(dtype): float(np.finfo(dtype).tiny) for dtype in ("float32", "float64")}
# Between these a sum of squares has lost nothing to the ends of the dtype's range.
SQUARES = {
    np.dtype(limits.dtype): (float(limits.tiny / limits.eps), float(limits.max)) for limits in map(np.finfo, TINY)
}


@np.errstate(over="ignore", invalid="ignore")
def clip_norm(gradient: Array, max_norm: float | None) -> float:
    """Scale `gradient` ``(N,)`` in place so that its 2-norm is at most `max_norm`; return the norm before.

    As in ``torch.nn.utils.clip_grad_norm_``: the factor is ``min(1, max_norm / (norm + 1e-6))``; `max_norm` is above
    0, and with None the gradient stays. The norm of a finite gradient does not overflow, as torch's does, unless no
    float can hold it. A norm that is not finite is returned as it is, and nothing is scaled. Raises ArgumentError.
    """
    _check_gradient(gradient)
    return clip(gradient, None if max_norm is None else check_number("max_norm", max_norm, 0, open_low=True))


def clip(gradient: Array, max_norm: float | None) -> float:
    """`clip_norm` for arguments that were checked, and under its ``np.errstate``."""
    norm = _norm(gradient)
    if max_norm is not None and math.isfinite(norm) and (factor := max_norm / (norm + 1e-6)) < 1:
        if factor >= TINY[gradient.dtype]:
            np.multiply(gradient, factor, out=gradient)
        else:  # too small a number to be exact in this dtype
            for _ in range(2):
                np.multiply(gradient, math.sqrt(factor), out=gradient)
    return norm


def _norm(gradient: Array) -> float:
    """The 2-norm, by way of the largest element where the squares are too large or too small for the dtype."""
    (least, most), square = SQUARES[gradient.dtype], float(gradient.dot(gradient))
    if least <= square <= most:
        return math.sqrt(square)
    return _scaled_norm(gradient, square)


def _scaled_norm(gradient: Array, square: float) -> float:
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
    if gradient.dtype not in TINY:
        raise ArgumentError("gradient", "a float32 or float64 array (N,)", kind_of(gradient))
