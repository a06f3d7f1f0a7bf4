"""The mean absolute error in percent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...base.parameters import Array
from ..standardise import LARGEST
from .metric import Pairs, Term

__all__ = ["MAPE"]


def _share(pairs: Pairs) -> Array:
    some, size = pairs.truth != 0, np.abs(pairs.truth)
    with np.errstate(over="ignore"):
        share = np.divide(np.abs(pairs.error), size, where=some, out=np.zeros(len(size)))
    return np.minimum(share, LARGEST)


class MAPE:
    """A `Metric`: the mean of |e / truth|, in percent; where the truth is 0 that counts as 0, as in `river.metrics`."""

    name, rises = "mape", False
    terms: tuple[Term, ...] = (Term(_share),)

    def value(self, sums: Sequence[float], count: float) -> float | None:
        """See `Metric`."""
        return 100 * (sums[0] / count)
