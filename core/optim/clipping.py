"""Gradient clipping on the flat vector, in place, by torch's definitions."""

from __future__ import annotations

import math

import numpy as np

from ..base.checks import check_number
from ..base.parameters import Array

__all__ = ["clip_norm", "clip_value"]


def clip_norm(gradient: Array, max_norm: float | None) -> float:
    """Scale `gradient` in place so that its 2-norm is at most `max_norm`; return the norm before.

    As in ``torch.nn.utils.clip_grad_norm_``: the factor is ``min(1, max_norm / (norm + 1e-6))``. With `max_norm`
    None the gradient stays. A norm that is not finite is returned as it is, and nothing is scaled.
    """
    norm = math.sqrt(np.dot(gradient, gradient))
    if max_norm is not None and math.isfinite(norm) and (factor := max_norm / (norm + 1e-6)) < 1:
        np.multiply(gradient, factor, out=gradient)
    return norm


def clip_value(gradient: Array, limit: float) -> None:
    """Bring each element of `gradient` into ``[−limit, limit]``, in place; `limit` is above 0.

    As in ``torch.nn.utils.clip_grad_value_``: an infinite element becomes ``±limit``, and one that is not a number
    stays.
    """
    check_number("limit", limit, 0, open_low=True)
    np.clip(gradient, -limit, limit, out=gradient)
