"""Cohen's kappa."""

from __future__ import annotations

from .metric import ROUNDING, Counts

__all__ = ["Kappa"]


class Kappa:
    """A `ClassMetric`: κ = (p₀ − p_e) / (1 − p_e), for the accuracy p₀, and p_e that of chance.

    By chance each class is said as often as it was, whatever the truth: p_e = Σ share of truths · share said. None
    where that is 1: there is one class.
    """

    name, rises = "kappa", True

    def value(self, counts: Counts) -> float | None:
        """See `ClassMetric`."""
        chance = float((counts.truths * counts.said).sum()) / counts.labels**2
        return (counts.share - chance) / (1 - chance) if 1 - chance > ROUNDING else None
