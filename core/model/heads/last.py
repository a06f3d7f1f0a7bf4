"""One output for each sequence, of the last state."""

from __future__ import annotations

import numpy as np

from ...base.arena import Arenas
from ...base.parameters import Array
from ...cells.masks import Masks
from ...layers.stack import StackWorkspace
from .pooled import Pooled, pooled_room

__all__ = ["LAST"]


class LastFeatures:
    """The last hidden states; a `recurrio.core.model.heads.linear.Features`."""

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        self._stack = stack
        self._without_steps: Array | None = None
        self.one_and_values, self.d_values = pooled_room(stack, arenas)
        arenas.shared.keep(stack.d_outputs, 0)  # the gradient comes by the state alone

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """See `Features`."""
        self._without_steps = None if masks is None else np.logical_not(masks.present.any(axis=0))
        for direction, loop in enumerate(self._stack.layers[-1]):
            rows, _ = self._stack.outputs(-1, direction)
            np.copyto(self.one_and_values[1:][rows], loop.last[0])

    def spread(self) -> None:
        """See `Features`."""
        for direction, loop in enumerate(self._stack.layers[-1]):
            rows, _ = self._stack.outputs(-1, direction)
            np.copyto(loop.d_state[0], self.d_values[rows])
            if self._without_steps is not None:  # their state has no share in the loss, whatever it is
                np.copyto(self.one_and_values[1:][rows], 0, where=self._without_steps)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """There are no weights."""


LAST = Pooled("last", LastFeatures, of_last_state=True)
