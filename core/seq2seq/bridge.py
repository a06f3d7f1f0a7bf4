"""The bridge: from the states that the encoder ends with to those that the decoder begins with.

Where the encoder reads in one direction they are the same. Where it reads in both, each part of the state of a layer,
``h`` or ``c``, is ``tanh(W·[1; →; ←])`` of the two directions'.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..cells.buffers import State
from ..layers import linear
from ..layers.linear import Linear
from ..layers.stack import Stack

__all__ = ["Bridge", "bridge_layers"]

PARTS = ("h", "c")


def bridge_layers(encoder: Stack) -> dict[str, Linear]:
    """The layers of a bridge behind this encoder, by name: none for one direction."""
    if encoder.directions == 1:
        return {}
    return {
        f"bridge.l{layer}.{part}": Linear(2 * units, units, dtype=encoder.dtype, _draw=False)
        for layer, size in enumerate(encoder.sizes)
        for part, units in zip(PARTS, encoder.cell.state_sizes(size), strict=False)
    }


class _Part(NamedTuple):
    """Of a part of the state of a layer: where both directions stand under a row of ones, what is made of them."""

    name: str
    layer: int
    part: int
    one_and_both: Array
    values: Array


class Bridge:
    """The passes of a bridge over one batch, for an encoder of one direction or two, and its buffers."""

    def __init__(self, encoder: Stack, lanes: int, arena: Arena) -> None:
        self._parts: list[_Part] = []
        self._state: list[State] = []
        for layer, size in enumerate(encoder.sizes if encoder.directions == 2 else ()):
            counts = encoder.cell.state_sizes(size)
            self._state.append(tuple(arena.empty((count, lanes), encoder.dtype) for count in counts))
            for part, count in enumerate(counts):
                both, values = (arena.empty((rows, lanes), encoder.dtype) for rows in (1 + 2 * count, count))
                arena.keep(both[0], 1)
                self._parts.append(_Part(f"bridge.l{layer}.{PARTS[part]}.matrix", layer, part, both, values))

    def forward(self, views: dict[str, Array], state: list[State]) -> list[State]:
        """The states that the decoder begins with, for those of the encoder; the decoder may move them on."""
        if not self._parts:
            return state
        for name, layer, part, one_and_both, values in self._parts:
            np.concatenate((state[2 * layer][part], state[2 * layer + 1][part]), out=one_and_both[1:])
            linear.forward(views[name], one_and_both, values)
            np.tanh(values, out=values)
            np.copyto(self._state[layer][part], values)
        return self._state

    def backward(self, views: dict[str, Array], d_begins: list[State], d_ends: list[State]) -> None:
        """Write the gradients of the encoder's states, over layers and directions, from those of the decoder's."""
        if not self._parts:
            for d_begin, d_end in zip(d_begins, d_ends, strict=True):
                for given, into in zip(d_begin, d_end, strict=True):
                    np.copyto(into, given)
        for name, layer, part, _, values in self._parts:
            values *= values
            np.subtract(1, values, out=values)
            values *= d_begins[layer][part]
            d_both = views[name][:, 1:].T @ values
            for direction, half in enumerate(np.split(d_both, 2)):
                np.copyto(d_ends[2 * layer + direction][part], half)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """After `backward`: write the gradient of the parameters."""
        for name, _, _, one_and_both, d_values in self._parts:
            linear.weight_gradient(d_values, one_and_both, d_views[name])
