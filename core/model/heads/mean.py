"""One output for each sequence, of the mean over its steps."""

from __future__ import annotations

import numpy as np

from ...base.arena import Arenas
from ...base.module import Module
from ...base.parameters import Array
from ...cells.masks import Masks
from ...layers.stack import StackWorkspace
from ...losses.loss import Loss
from .head import HeadPasses
from .linear import LinearHead

__all__ = ["Mean"]


class Mean:
    """A `recurrio.core.model.heads.head.Head`: a linear layer on the mean of the outputs of the steps that exist."""

    name, streams = "mean", False
    of_last_state = False

    def layers(self, features: int, dtype: np.dtype) -> dict[str, Module]:
        """None."""
        return {}

    def target_steps(self, steps: int) -> int:
        """One."""
        return 1

    def open(
        self, stack: StackWorkspace, loss: Loss, output_size: int, arenas: Arenas, *, dropout: float
    ) -> HeadPasses:
        """See `Head`."""
        return LinearHead(MeanFeatures(stack, arenas), stack.shape[1], stack, loss, output_size, arenas, dropout)


class MeanFeatures:
    """The means; a `recurrio.core.model.heads.linear.Features`."""

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        size, lanes, dtype = stack.stack.output_size, stack.shape[1], stack.stack.dtype
        self._stack = stack
        self.one_and_values = arenas.shared.empty((1 + size, lanes), dtype)
        arenas.shared.keep(self.one_and_values[0], 1)
        self.d_values = arenas.shared.empty((size, lanes), dtype)
        self._counts = arenas.own.empty((lanes,), dtype)

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """See `Features`."""
        if masks is None:
            self._counts.fill(self._stack.shape[0])
        else:
            self._counts[...] = np.maximum(masks.present.sum(axis=0), 1)
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            np.divide(values.sum(axis=1), self._counts, out=self.one_and_values[1:][rows])

    def spread(self) -> None:
        """See `Features`."""
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            by_step = self._stack.d_outputs[rows].reshape(values.shape)
            np.copyto(by_step, (self.d_values[rows] / self._counts)[:, None])

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """There are no weights."""
