"""Kappa-temporal."""

from __future__ import annotations

from .metric import ROUNDING, Counts

__all__ = ["KappaTemporal"]


class KappaTemporal:
    """A `ClassMetric`: κ = (p₀ − p_last) / (1 − p_last), for the accuracy p₀, and p_last that of the key's last class.

    None where that is 1: no key has changed its class. It is 0 of the last class itself. Žliobaitė, Bifet, Read,
    Pfahringer, Holmes: Evaluation methods and decision theory for classification of streaming data with temporal
    dependence (Machine Learning 98, 2015).
    """

    name, rises = "kappa_temporal", True

    def value(self, counts: Counts) -> float | None:
        """See `ClassMetric`."""
        last = counts.last / counts.labels
        return (counts.share - last) / (1 - last) if 1 - last > ROUNDING else None
