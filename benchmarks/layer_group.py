"""A layer computed by two ranks, for the benchmark: what `Recurrent.forward` and `backward` do, by a group of ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from recurrio.core.base.arena import Arena, Arenas
from recurrio.core.base.columns import copy_columns
from recurrio.core.base.parameters import Array, Layout
from recurrio.core.base.ranks import Pass, Rank
from recurrio.core.layers.stack import Stack, StackWorkspace


class LayerArrays:
    """A layer of `cell`, and its arrays as users have them, ``(T, B, features)``, shared by the ranks."""

    def __init__(self, cell: str, size: Sequence[int], ranks: int, arena: Arena) -> None:
        T, B, I, H = size
        self.stack, self.layout = Stack(cell, I, H), Layout()
        self.stack.add_to(self.layout)
        dtype = self.stack.dtype
        self.parameters = arena.zeros((self.layout.size,), dtype)
        self.gradients = arena.zeros((ranks, self.layout.size), dtype)
        self.x, self.d_x = arena.zeros((T, B, I), dtype), arena.zeros((T, B, I), dtype)
        self.output, self.d_output = arena.zeros((T, B, H), dtype), arena.zeros((T, B, H), dtype)


class LayerMember(LayerArrays):
    """One rank's share of a layer."""

    passes: ClassVar[tuple[str, ...]] = ("run",)

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None:
        T, B, I, H = arguments["size"]
        super().__init__(arguments["cell"], arguments["size"], rank.count, arena)
        stack, layout = self.stack, self.layout
        self._workspace = StackWorkspace(stack, T, B, rank, Arenas(arena, Arena()), input_gradient=True)
        self._state = stack.initial_state(B, rank)
        self._rank, self._inputs, self._units = rank, rank.share(I), rank.share(H)
        self._weights = stack.weights(layout.views(self.parameters))
        self._d_weights = stack.weights(layout.views(self.gradients[rank.index]))

    def run(self, *_: float) -> Pass[None]:
        """Forward and backward: the output, and the gradients of parameters, input and state."""
        workspace, units = self._workspace, self._units
        workspace.write(self._inputs, self.x[:, :, self._inputs].transpose(2, 0, 1))
        for part in self._state[0]:
            part.fill(0)
        yield from workspace.forward(self._weights, self._state)
        T, B = workspace.shape
        outputs = workspace.one_and_outputs[1:].reshape(-1, T, B)
        copy_columns(outputs[units], self.output[:, :, units].transpose(2, 0, 1))
        workspace.write_d_outputs(units, self.d_output[:, :, units].transpose(2, 0, 1))
        for part in workspace.kernels[0].d_state:
            part.fill(0)
        yield from workspace.backward()
        workspace.weight_gradient(self._d_weights)
        yield
        steps = self._rank.share(T)
        one, other = workspace.d_inputs_of_ranks.reshape(2, T, B, -1)[:, steps]
        np.add(one, other, self.d_x[steps])
        own = self._rank.share(len(self.parameters))
        one, other = self.gradients[:, own]
        np.add(one, other, one)
        yield
