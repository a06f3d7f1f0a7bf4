"""The coefficient of determination."""

from __future__ import annotations

from collections.abc import Sequence

from .metric import FAR, FAR_SQUARE, SQUARE, Term

__all__ = ["R2"]

ROUNDING = 1e-12  # of the squares of the distances from the first truth: less than that is no variance


class R2:
    """A `Metric`: R² = 1 − Σe² / Σ(truth − its mean)². None for a single label, or where all truths are the same.

    Sums of squares are taken from the first truth on, so that a mean that is far from 0 takes no digits.
    """

    name, rises = "r2", True
    terms: tuple[Term, ...] = (SQUARE, FAR, FAR_SQUARE)

    def value(self, sums: Sequence[float], count: float) -> float | None:
        """See `Metric`."""
        errors, far, squares = sums
        spread = squares - far * far / count
        return 1 - errors / spread if spread > ROUNDING * squares else None
