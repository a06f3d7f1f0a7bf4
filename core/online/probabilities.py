"""Probabilities of classes, of which some are known."""

from __future__ import annotations

import numpy as np

from ..base.parameters import Array

__all__ = ["log_probabilities"]


@np.errstate(invalid="ignore", divide="ignore")
def log_probabilities(outputs: Array, known: Array, width: int) -> Array:
    """The logarithms ``(n, width)`` float64 of a softmax of the first `outputs` ``(n, K)``, `known` ``(n,)`` of them.

    It is −∞ of classes that are not known, and of all where an output is NaN or +∞. `width` is at least the most that
    are known. Sums are over one class after the other, so that a record has the same bits with any others.
    """
    across = np.full((width, len(outputs)), -np.inf)
    count = min(width, outputs.shape[1])
    across[:count] = outputs[:, :count].T
    across[np.arange(width)[:, None] >= known] = -np.inf
    across -= np.maximum.reduce(across, 0)
    total = np.zeros(len(outputs))
    for line in np.exp(across):
        total += line
    across -= np.log(total)
    across[:, ~np.isfinite(total)] = -np.inf
    return across.T
