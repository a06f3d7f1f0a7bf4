"""The mean absolute error."""

from __future__ import annotations

from collections.abc import Sequence

from .metric import ABSOLUTE, Term

__all__ = ["MAE"]


class MAE:
    """A `Metric`: the mean of |e|, in the unit of the target."""

    name, rises = "mae", False
    terms: tuple[Term, ...] = (ABSOLUTE,)

    def value(self, sums: Sequence[float], count: float) -> float | None:
        """See `Metric`."""
        return sums[0] / count
