"""Labels as CTC takes them: as many as a lane has, and negative numbers behind them."""

from __future__ import annotations

import numpy as np

__all__ = ["draw_labels"]


def draw_labels(rng: np.random.Generator, rows: int, lanes: int, classes: int, blank: int = 0) -> np.ndarray:
    """``(S, B)``: of each lane up to `rows` S labels in ``0…classes−1`` that are not the blank."""
    labels = rng.integers(0, classes - 1, (rows, lanes))
    labels += labels >= blank
    labels[np.arange(rows)[:, None] >= rng.integers(0, rows + 1, lanes)] = -1
    return labels
