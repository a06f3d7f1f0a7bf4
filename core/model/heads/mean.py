"""One output for each sequence, of the mean over its steps."""

from __future__ import annotations

import numpy as np

from ...base.arena import Arenas
from ...base.parameters import Array
from ...cells.masks import Masks
from ...layers.stack import StackWorkspace
from .pooled import Pooled, pooled_room

__all__ = ["MEAN"]


class MeanFeatures:
    """The means over the steps that exist; a `recurrio.core.model.heads.linear.Features`."""

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        self._stack = stack
        self.one_and_values, self.d_values = pooled_room(stack, arenas)
        self._counts = arenas.own.empty((stack.shape[1],), stack.stack.dtype)

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


MEAN = Pooled("mean", MeanFeatures)
