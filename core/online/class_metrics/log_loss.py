"""The logarithmic loss."""

from __future__ import annotations

import numpy as np

from ...base.parameters import Array
from .metric import Counts

__all__ = ["LogLoss", "log_losses"]

LEAST, MOST = np.log(1e-15), np.log1p(-1e-15)  # of the logarithm of a probability, as in `river.metrics`


def log_losses(logarithms: Array) -> Array:
    """−ln p of each truth, from ln p ``(n,)``, for p from 1e-15 to 1 − 1e-15; NaN is a p of 0."""
    return -np.minimum(np.fmax(logarithms, LEAST), MOST)


class LogLoss:
    """A `ClassMetric`: the mean of −ln p(truth), as in `river.metrics.CrossEntropy`, in nats.

    A class that was not known when the forecast was made had the probability 0, of which the loss is 34.5.
    """

    name, rises = "log_loss", False

    def value(self, counts: Counts) -> float | None:
        """See `ClassMetric`."""
        return None if counts.loss is None else counts.loss / counts.labels
