"""What a metric of classes is: what counts of each class say."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from ...base.parameters import Array

__all__ = ["ROUNDING", "ClassMetric", "Counts"]

ROUNDING = 1e-12  # a share of labels below it is none: faded counts are not whole numbers


class Counts(NamedTuple):
    """Of labels, above 0 in all, of which some may count for less, and of one way to forecast them.

    - ``truths``, ``said``, ``right`` ``(K,)`` float64: how often each class was the truth, was said, and was both.
    - ``last``: how often the last class of the key was the truth.
    - ``loss``: the sum of −ln p(truth); None of a way that has no probabilities.
    """

    truths: Array
    said: Array
    right: Array
    last: float
    loss: float | None

    @property
    def labels(self) -> float:
        """How many labels these are."""
        return float(self.truths.sum())

    @property
    def share(self) -> float:
        """The share of labels that the way was right about."""
        return float(self.right.sum()) / self.labels


class ClassMetric(Protocol):
    """A metric under its ``name`` in the table. It is better where it ``rises``, or where it falls."""

    name: str
    rises: bool

    def value(self, counts: Counts) -> float | None:
        """What the counts say; None where that means nothing."""
        ...
