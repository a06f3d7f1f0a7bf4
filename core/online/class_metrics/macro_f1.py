"""The mean F1 score of the classes."""

from __future__ import annotations

import numpy as np

from .metric import Counts

__all__ = ["MacroF1"]


class MacroF1:
    """A `ClassMetric`: the mean of F1 = 2 · right / (truths + said) of the classes that were either."""

    name, rises = "macro_f1", True

    def value(self, counts: Counts) -> float | None:
        """See `ClassMetric`."""
        either = counts.truths + counts.said
        some = np.flatnonzero(either)
        return float((2 * counts.right[some] / either[some]).mean())
