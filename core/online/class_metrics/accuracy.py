"""The accuracy."""

from __future__ import annotations

from .metric import Counts

__all__ = ["Accuracy"]


class Accuracy:
    """A `ClassMetric`: the share of labels that were forecast."""

    name, rises = "accuracy", True

    def value(self, counts: Counts) -> float | None:
        """See `ClassMetric`."""
        return counts.share
