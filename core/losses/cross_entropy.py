"""The kernel of cross-entropy over classes, on feature-major columns. `losses` makes it from its options."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array

__all__ = ["CrossEntropy"]


class CrossEntropy:
    """The softmax cross-entropy of `N` columns, and its gradient, in the buffer of the logits.

    For the logits ``z`` of one column and its target class ``y``: ``loss = log Σ_v exp(z_v) − z_y`` in nats, and
    ``d loss / d z = softmax(z) − onehot(y)``. The largest logit is taken off first, so no exponential overflows.

    With class weights ``w`` and label smoothing ``ε``, as in torch: ``loss = Σ_v q_v · (log Σ_u exp(z_u) − z_v)``
    with ``q = (1−ε) · w_y · onehot(y) + ε/V · w``, and ``d loss / d z = (Σ q) · softmax(z) − q``.

    A target of `ignore_index` hides its column, as a mask does: its loss and its gradient are 0, whatever its
    logits are. ``outputs`` ``(V, N)`` is where the head writes the logits. Arguments are checked by the caller.
    """

    def __init__(
        self,
        classes: int,
        columns: int,
        dtype: np.dtype,
        arena: Arena | None = None,
        weight: Sequence[float] | Array | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
    ) -> None:
        arena = arena or Arena()
        self.outputs = arena.empty((classes, columns), dtype)
        self._ignore_index = ignore_index
        self._columns = np.arange(columns)
        self._targets = arena.empty((columns,), np.dtype(np.intp))
        self._hidden, self._any_hidden = arena.empty((columns,), np.dtype(bool)), False
        self._row, self._sums = (arena.empty((columns,), dtype) for _ in range(2))

        # q in three parts: `spread` (V,) is ε/V · w, `own` is (1−ε) · w_y, and `whole` is Σ q. Without class weights
        # the last two are numbers, without smoothing exactly 1; with them there is one for each column.
        weights = np.ones(classes) if weight is None else np.array(weight, np.float64)
        spread = label_smoothing / classes * weights
        self._spread = spread.astype(dtype) if label_smoothing else None
        self._own: Array | float = 1.0 - label_smoothing
        self._whole: Array | float = 1.0
        self._weighted = weight is not None or label_smoothing > 0
        self._of_class: Array | None = None
        if weight is not None:
            own = (1.0 - label_smoothing) * weights
            self._of_class = np.array([own, own + spread.sum()], dtype)
            self._both = arena.empty((2, columns), dtype)
            self._own, self._whole = self._both

    def forward(self, targets: Array, mask: Array | None = None) -> float:
        """The sum of the losses of the columns that count; it uses ``outputs`` up.

        `targets` ``(N,)``, integers in ``0…V−1`` or `ignore_index`; `mask` ``(N,)`` bool, False where a column
        does not count.
        """
        outputs, row, hidden = self.outputs, self._row, self._hidden
        np.equal(targets, self._ignore_index, hidden)
        if mask is not None:
            np.logical_or(hidden, ~mask, hidden)
        self._any_hidden = bool(np.count_nonzero(hidden))
        self._targets[...] = targets
        if self._any_hidden:
            self._targets[hidden] = 0
        if self._of_class is not None:
            np.take(self._of_class, self._targets, axis=1, out=self._both)

        np.maximum.reduce(outputs, axis=0, out=row)  # as np.max, which takes twice as long for few columns
        np.subtract(outputs, row, outputs)
        picked = outputs[self._targets, self._columns]
        if self._weighted:
            np.multiply(picked, self._own, picked)
        if self._spread is not None:
            picked += self._spread @ outputs
        np.exp(outputs, outputs)
        np.add.reduce(outputs, axis=0, out=self._sums)
        np.log(self._sums, row)
        if self._weighted:
            np.multiply(row, self._whole, row)
        np.subtract(row, picked, row)
        if self._any_hidden:
            row[hidden] = 0
        return float(np.add.reduce(row, dtype=np.float64))

    def backward(self, scale: float) -> Array:
        """`scale` times the gradient of the sum, ``(V, N)``; it takes the place of ``outputs``. Once only."""
        outputs = self.outputs
        np.divide(scale * self._whole, self._sums, out=self._row)
        np.multiply(outputs, self._row, outputs)
        outputs[self._targets, self._columns] -= np.asarray(scale * self._own, outputs.dtype)
        if self._spread is not None:
            np.subtract(outputs, scale * self._spread[:, None], outputs)
        if self._any_hidden:
            np.copyto(outputs, 0, where=self._hidden)
        return outputs
