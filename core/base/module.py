"""What every layer with parameters has: one flat vector of them, and torch's state dict as its way in and out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np

from .checks import ArgumentError
from .initializers import TorchRandom
from .parameters import Array, Layout

__all__ = ["Module", "StateDictError"]


class StateDictError(ArgumentError):
    """A state dict that does not fit; ``problems`` lists everything that is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("state_dict", "the names and shapes of the model", "; ".join(problems))
        self.problems = problems


class Module(ABC):
    """Parameters in one flat vector: ``parameters`` ``(size,)``, in the blocks of ``layout``.

    A gradient is a vector of the same layout; `flatten` makes one from a dict under torch's names.
    """

    layout: Layout
    parameters: Array

    @abstractmethod
    def initialise(self, random: TorchRandom) -> None:
        """Draw the parameters as torch does."""

    @abstractmethod
    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        """A copy of the blocks under torch's names."""

    @abstractmethod
    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        """Write arrays under torch's names into the blocks."""

    def state_dict(self, parameters: Array | None = None) -> dict[str, Array]:
        """A copy of `parameters` ``(size,)``, by default the layer's own, under torch's names and in torch's shapes."""
        return self._to_torch(self.layout.views(self.parameters if parameters is None else parameters))

    def load_state_dict(self, named: Mapping[str, Array]) -> None:
        """Set ``parameters`` from arrays under torch's names.

        Raises StateDictError, and changes nothing, where a name is missing or unexpected or a shape is wrong; it
        lists all of them.
        """
        self.parameters[...] = self.flatten(named)

    def flatten(self, named: Mapping[str, Array]) -> Array:
        """The flat vector ``(size,)`` of parameters or gradients under torch's names. Raises StateDictError."""
        expected = self.state_dict()
        problems = [f"missing {name}" for name in expected if name not in named]
        problems += [f"unexpected {name}" for name in named if name not in expected]
        for name, array in named.items():
            if name in expected and np.shape(array) != expected[name].shape:
                problems.append(f"{name}: expected shape {expected[name].shape}, got {np.shape(array)}")
        if problems:
            raise StateDictError(problems)
        flat = np.zeros_like(self.parameters)
        self._from_torch(self.layout.views(flat), named)
        return flat
