"""Cross-entropy over classes, on feature-major columns."""

from __future__ import annotations

import numpy as np

from .parameters import Array

__all__ = ["CrossEntropy"]


class CrossEntropy:
    """The softmax cross-entropy of `N` columns, and its gradient, in the buffer of the logits.

    For the logits ``z`` of one column and its target class ``y``: ``loss = log Σ_v exp(z_v) − z_y`` in nats, and
    ``d loss / d z = softmax(z) − onehot(y)``. The largest logit is taken off first, so no exponential overflows.
    """

    def __init__(self, classes: int, columns: int, dtype: np.dtype) -> None:
        self.logits = np.empty((classes, columns), dtype)
        self._columns = np.arange(columns)
        self._targets = np.empty(columns, np.intp)
        self._row = np.empty(columns, dtype)
        self._sums = np.empty(columns, dtype)

    def forward(self, targets: Array) -> float:
        """The sum of the losses of all columns. ``logits`` ``(V, N)`` in, `targets` ``(N,)`` in ``0…V−1``."""
        logits, row = self.logits, self._row
        self._targets[...] = targets
        np.max(logits, axis=0, out=row)
        np.subtract(logits, row, logits)
        picked = logits[self._targets, self._columns]
        np.exp(logits, logits)
        np.sum(logits, axis=0, out=self._sums)
        np.log(self._sums, row)
        np.subtract(row, picked, row)
        return float(row.sum(dtype=np.float64))

    def backward(self, scale: float) -> Array:
        """`scale` times the gradient of the sum, ``(V, N)``; it takes the place of ``logits``."""
        np.divide(scale, self._sums, out=self._row)
        np.multiply(self.logits, self._row, self.logits)
        self.logits[self._targets, self._columns] -= self.logits.dtype.type(scale)
        return self.logits
