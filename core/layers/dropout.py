"""Dropout: values are dropped by chance in training, and those that are kept are scaled up, as by torch's ``Dropout``.

Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014).
"""

from __future__ import annotations

import numpy as np

from ..base.parameters import Array

__all__ = ["draw_kept"]


def draw_kept(rng: np.random.Generator, p: float, out: Array) -> None:
    """Draw what values and their gradients are multiplied by: 0 with probability `p`, or else ``1 / (1 − p)``."""
    np.multiply(rng.random(out.shape, np.float32) >= p, 1 / (1 - p) if p < 1 else 0, out=out, casting="unsafe")
