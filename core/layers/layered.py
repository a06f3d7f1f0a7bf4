"""A module made of layers, on slices of one vector: what the models have in common."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..base.checks import check_array
from ..base.initializers import TorchRandom
from ..base.module import Module
from ..base.parameters import Array
from .linear import Linear

__all__ = ["Layered"]


class Layered(Module):
    """The layers as users know them, under their names in torch; the last one is a `Linear` called ``head``.

    Who makes one sets ``dtype``, ``_layers`` and an empty ``layout``, and then calls `_assemble`.
    """

    _layers: dict[str, Module]

    def _assemble(self, seed: int | None, draw: bool) -> None:
        """Lay the layers out in their order, and fill them; see `Module`."""
        for name, layer in self._layers.items():
            self.layout.extend(layer.layout, f"{name}.")
        self._fill(seed, draw)

    @property
    def parameters(self) -> Array:
        """The flat vector ``(size,)``. One that is set takes its place, and is not copied."""
        return self._parameters

    @parameters.setter
    def parameters(self, flat: Array) -> None:
        check_array("parameters", flat, (self.layout.size,), self.dtype)
        self._parameters, start = flat, 0
        for layer in self._layers.values():
            layer.parameters = flat[start : start + layer.layout.size]
            start += layer.layout.size

    def __getstate__(self) -> dict[str, Any]:
        # The parameters of the layers are views, which copying would tear off the vector: they are made again.
        layers = {name: copy.copy(layer) for name, layer in self._layers.items()}
        for layer in layers.values():
            layer.parameters = layer.parameters[:0]
        return {**self.__dict__, "_layers": layers}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.parameters = self._parameters

    def initialise(self, random: TorchRandom) -> None:
        """Draw the parameters of the layers in their order."""
        for layer in self._layers.values():
            layer.initialise(random)

    def restart_head(self, parameters: Array, number: int) -> None:
        """Write new initial parameters of the head into a vector ``(size,)``: drawn by the seed and this `number`."""
        head = self._layers["head"]
        assert isinstance(head, Linear)
        fresh = Linear(head.in_features, head.out_features, head.bias, dtype=self.dtype, _draw=False)
        fresh.initialise(TorchRandom(int(np.random.SeedSequence((self.seed or 0, number)).generate_state(1)[0])))
        parameters[-head.layout.size :] = fresh.parameters

    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        return {
            f"{name}.{key}": array
            for name, layer in self._layers.items()
            for key, array in layer._to_torch(_below(views, name)).items()
        }

    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        for name, layer in self._layers.items():
            layer._from_torch(_below(views, name), _below(named, name))


def _below(named: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The entries of the layer `name`, under their own names."""
    return {key.removeprefix(f"{name}."): array for key, array in named.items() if key.startswith(f"{name}.")}
