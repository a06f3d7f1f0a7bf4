"""What a head is: the outputs of a stack come in, a loss comes out, and its gradient goes back."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ...base.arena import Arenas
from ...base.module import Module
from ...base.parameters import Array
from ...base.ranks import Pass
from ...cells.masks import Masks
from ...layers.stack import StackWorkspace
from ...losses.loss import Loss

__all__ = ["Head", "HeadPasses"]


class Head(Protocol):
    """A kind of head, under its ``name`` in the table.

    ``streams``: each step has an output of its own, of the steps up to it. ``of_last_state``: the outputs depend on
    nothing but the state after the last step.
    """

    name: str
    streams: bool
    of_last_state: bool

    def layers(self, features: int, dtype: np.dtype) -> dict[str, Module]:
        """Its layers with parameters, by name, beside the linear one at its end; `features` D·P come to it."""
        ...

    def target_steps(self, steps: int) -> int:
        """S, the outputs, and so the targets, of a lane of `steps`."""
        ...

    def open(
        self, stack: StackWorkspace, loss: Loss, output_size: int, arenas: Arenas, *, dropout: float
    ) -> HeadPasses:
        """Its passes beside those of `stack`, of the same rank, with the arrays that they need.

        What its linear layer takes drops out with the probability `dropout`, where a forward pass is given an `rng`.
        """
        ...


class HeadPasses(Protocol):
    """The passes over one sequence in flight. `views` are the blocks of the parameters, `d_views` of their gradient."""

    def outputs(self, views: dict[str, Array], masks: Masks | None, rng: np.random.Generator | None) -> Pass[Array]:
        """After the stack's forward pass: the outputs ``(F, N)`` of this rank's columns of the `S·B`."""
        ...

    def loss(self, targets: Array, counted: Array | None) -> Pass[float]:
        """After `outputs`: the summed loss of this rank's columns, or lanes.

        `targets` are those of a `SequenceBatch`; `counted` ``(S, B)`` says which of the outputs count.
        """
        ...

    def backward(self, views: dict[str, Array], scale: float) -> Pass[None]:
        """After `loss`: leave the gradient of `scale` times it in the stack, for its backward pass.

        The gradient of the state after the last step is zero there before.
        """
        ...

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """After `backward`: write this rank's part of the gradient of the head's parameters."""
        ...
