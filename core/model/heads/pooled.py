"""A head with one output for each sequence: a linear layer on what a pooling makes of the outputs of all steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...base.arena import Arenas
from ...base.module import Module
from ...base.parameters import Array
from ...layers.stack import StackWorkspace
from ...losses.loss import Loss
from .head import HeadPasses
from .linear import Features, LinearHead

__all__ = ["Pooled", "no_layers", "pooled_room"]

Layers = Callable[[int, np.dtype], dict[str, Module]]


def no_layers(features: int, dtype: np.dtype) -> dict[str, Module]:
    """A pooling without parameters."""
    return {}


@dataclass(eq=False)
class Pooled:
    """A `recurrio.core.model.heads.head.Head` on pooled `features`, with `layers` of their own."""

    name: str
    features: Callable[[StackWorkspace, Arenas], Features]
    layers: Layers = no_layers
    of_last_state: bool = False
    streams: bool = False

    def target_steps(self, steps: int) -> int:
        """One."""
        return 1

    def open(
        self, stack: StackWorkspace, loss: Loss, output_size: int, arenas: Arenas, *, dropout: float
    ) -> HeadPasses:
        """See `Head`."""
        features, (_, lanes) = self.features(stack, arenas), stack.shape
        return LinearHead(features, lanes, stack, loss, output_size, arenas, dropout)


def pooled_room(stack: StackWorkspace, arenas: Arenas) -> tuple[Array, Array]:
    """Of all ranks: the features ``(D·P, B)`` under a row of ones, and their gradient."""
    size, lanes, dtype = stack.stack.output_size, stack.shape[1], stack.stack.dtype
    one_and_values = arenas.shared.empty((1 + size, lanes), dtype)
    arenas.shared.keep(one_and_values[0], 1)
    return one_and_values, arenas.shared.empty((size, lanes), dtype)
