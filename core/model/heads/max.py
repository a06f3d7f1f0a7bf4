"""One output for each sequence, of the maximum over its steps."""

from __future__ import annotations

import numpy as np

from ...base.arena import Arenas
from ...base.parameters import Array
from ...cells.masks import Masks
from ...layers.stack import StackWorkspace
from .pooled import Pooled, pooled_room

__all__ = ["MAX"]


class MaxFeatures:
    """The maxima; a `recurrio.core.model.heads.linear.Features`.

    That is over the steps that exist, and 0 where there is none. The gradient goes to the first of these steps.
    """

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        size, lanes = stack.stack.output_size, stack.shape[1]
        self._stack = stack
        self.one_and_values, self.d_values = pooled_room(stack, arenas)
        self._steps = arenas.own.empty((size, 1, lanes), np.dtype(np.intp))  # where the maximum of each unit is

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """See `Features`."""
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            steps, largest = self._steps[rows], self.one_and_values[1:][rows]
            if masks is not None and masks.pads:
                values = np.where(masks.padding, -np.inf, values)
            values.argmax(axis=1, keepdims=True, out=steps)
            np.copyto(largest, np.take_along_axis(values, steps, axis=1)[:, 0])
            if masks is not None and masks.pads:
                np.copyto(largest, 0, where=np.logical_not(masks.present.any(axis=0)))

    def spread(self) -> None:
        """See `Features`."""
        for direction in range(self._stack.stack.directions):
            rows, values = self._stack.outputs(-1, direction)
            by_step = self._stack.d_outputs[rows].reshape(values.shape)
            by_step.fill(0)
            np.put_along_axis(by_step, self._steps[rows], self.d_values[rows][:, None], axis=1)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """There are no weights."""


MAX = Pooled("max", MaxFeatures)
