"""One output for each step."""

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

__all__ = ["Steps"]


class Steps:
    """A `recurrio.core.model.heads.head.Head`: a linear layer on the output of each step."""

    name, streams = "steps", True
    of_last_state = False

    def layers(self, features: int, dtype: np.dtype) -> dict[str, Module]:
        """None."""
        return {}

    def target_steps(self, steps: int) -> int:
        """As many."""
        return steps

    def open(
        self, stack: StackWorkspace, loss: Loss, output_size: int, arenas: Arenas, *, dropout: float
    ) -> HeadPasses:
        """See `Head`."""
        steps, lanes = stack.shape
        return LinearHead(StepFeatures(stack), steps * lanes, stack, loss, output_size, arenas, dropout)


class StepFeatures:
    """The outputs of the stack as they are; a `recurrio.core.model.heads.linear.Features`."""

    pools = False

    def __init__(self, stack: StackWorkspace) -> None:
        self._stack = stack

    @property
    def one_and_values(self) -> Array:
        """See `Features`."""
        return self._stack.one_and_outputs

    @property
    def d_values(self) -> Array:
        """See `Features`."""
        return self._stack.d_outputs

    def pool(self, views: dict[str, Array], masks: Masks | None) -> None:
        """There is nothing to do."""

    def spread(self) -> None:
        """There is nothing to do."""

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """There are no weights."""
