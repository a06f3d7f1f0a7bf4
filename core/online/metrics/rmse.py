"""The root of the mean squared error."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .metric import SQUARE, Term

__all__ = ["RMSE"]


class RMSE:
    """A `Metric`: √ of the mean of e², in the unit of the target."""

    name, rises = "rmse", False
    terms: tuple[Term, ...] = (SQUARE,)

    def value(self, sums: Sequence[float], count: float) -> float | None:
        """See `Metric`."""
        return math.sqrt(sums[0] / count)
