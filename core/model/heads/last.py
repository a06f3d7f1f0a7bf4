"""One output for each sequence, of the last state."""

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

__all__ = ["Last"]


class Last:
    """A `recurrio.core.model.heads.head.Head`: a linear layer on the last hidden state of each direction."""

    name, streams = "last", False
    of_last_state = True

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
        return LinearHead(LastFeatures(stack, arenas), stack.shape[1], stack, loss, output_size, arenas, dropout)


class LastFeatures:
    """The last hidden states; a `recurrio.core.model.heads.linear.Features`."""

    pools = True

    def __init__(self, stack: StackWorkspace, arenas: Arenas) -> None:
        size, lanes, dtype = stack.stack.output_size, stack.shape[1], stack.stack.dtype
        self._stack = stack
        self._without_steps: Array | None = None
        self.one_and_values = arenas.shared.empty((1 + size, lanes), dtype)
        arenas.shared.keep(self.one_and_values[0], 1)
        self.d_values = arenas.shared.empty((size, lanes), dtype)
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
