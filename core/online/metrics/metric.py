"""What a metric of numbers is: sums of terms of each label, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from ...base.parameters import Array

__all__ = ["ABSOLUTE", "FAR", "FAR_SQUARE", "SQUARE", "Metric", "Pairs", "Term"]


class Pairs(NamedTuple):
    """Of n labels, all ``(n,)``: ``error`` of each forecast, and ``truth``, which is ``far`` from the first of all.

    Errors and distances are at most 1e140 in size.
    """

    error: Array
    truth: Array
    far: Array


class Term(NamedTuple):
    """What each label adds to a sum; ``of_truth`` where that has nothing to do with the forecast."""

    of: Callable[[Pairs], Array]
    of_truth: bool = False


class Metric(Protocol):
    """A metric under its ``name`` in the table: of the sums of its ``terms`` over labels.

    It is better where it ``rises``, or where it falls. Terms that metrics have in common are added up once.
    """

    name: str
    rises: bool
    terms: tuple[Term, ...]

    def value(self, sums: Sequence[float], count: float) -> float | None:
        """What the sums over `count` labels, which is above 0, say; None where that means nothing."""
        ...


ABSOLUTE = Term(lambda pairs: np.abs(pairs.error))
SQUARE = Term(lambda pairs: pairs.error * pairs.error)
FAR = Term(lambda pairs: pairs.far, of_truth=True)
FAR_SQUARE = Term(lambda pairs: pairs.far * pairs.far, of_truth=True)
