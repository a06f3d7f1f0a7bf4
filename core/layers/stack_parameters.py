"""The parameters of a stack of recurrent layers: what a layer of the library and a model have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..base.initializers import TorchRandom
from ..base.module import Module
from ..base.parameters import Array, Layout
from .stack import Stack

__all__ = ["StackParameters"]


class StackParameters(Module):
    """The parameters of `stack`: torch's for the `seed`, with None for one drawn afresh, or without `draw` zeros."""

    def __init__(self, stack: Stack, seed: int | None = None, *, draw: bool = True) -> None:
        self.stack, self.dtype = stack, stack.dtype
        self.layout = Layout()
        stack.add_to(self.layout)
        self._fill(seed, draw)

    def _arguments(self) -> dict[str, Any]:
        """The arguments of a layer, as they were understood: the numbers are Python's."""
        stack, first = self.stack, self.stack.sizes[0]
        widths = [size.hidden_size for size in stack.sizes]
        return {
            "input_size": first.input_size,
            "hidden_size": widths[0] if len(set(widths)) == 1 else widths,
            "num_layers": len(widths),
            "bias": first.bias,
            "dropout": stack.dropout,
            "bidirectional": stack.directions == 2,
            "proj_size": first.proj_size,
            "layer_norm": stack.layer_norm,
            "zoneout": stack.zoneout,
            "dtype": stack.dtype.name,
        }

    def initialise(self, random: TorchRandom) -> None:
        """Draw the parameters as torch does: uniform in ``±1/√H`` of each layer, in the order of the state dict.

        Those of a layer normalisation are not drawn.
        """
        bounds = {name: 1 / math.sqrt(size.hidden_size) for name, size in self.stack.names}
        named = self.state_dict()
        for name, array in named.items():
            if name.startswith("norm_"):
                array.fill(name.startswith("norm_weight"))
            else:
                named[name] = random.uniform(array.shape, bounds[name.split("_", 2)[2]], self.dtype)
        self.load_state_dict(named)

    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        return self.stack.to_torch(self.stack.weights(views))

    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        self.stack.from_torch(self.stack.weights(views), dict(named))
