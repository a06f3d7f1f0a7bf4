"""One flat vector for all parameters, with named blocks as views of it.

An optimizer step is then a handful of whole-vector calls, clipping one dot product, and a parameter
version one copy. A gradient is a second vector with the same layout.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["Array", "Layout"]

Array = np.ndarray[Any, np.dtype[Any]]


class Layout:
    """Where each named block of a model stands in its flat parameter vector.

    Blocks are added once, in order; ``size`` is the length of the vector.
    """

    def __init__(self) -> None:
        self.size = 0
        self._blocks: dict[str, tuple[int, tuple[int, ...]]] = {}

    def add(self, name: str, *shape: int) -> None:
        """Append a block of `shape` under `name`."""
        if name in self._blocks:
            raise ValueError(f"block {name!r} is already in the layout")
        self._blocks[name] = (self.size, shape)
        self.size += math.prod(shape)

    def extend(self, other: Layout, prefix: str) -> None:
        """Append the blocks of `other`, with `prefix` before their names."""
        for name, (_, shape) in other._blocks.items():
            self.add(f"{prefix}{name}", *shape)

    def views(self, flat: Array) -> dict[str, Array]:
        """The blocks of `flat` ``(size,)`` by name, as views: writing to one writes to `flat`."""
        if flat.shape != (self.size,):
            raise ValueError(f"flat: expected shape ({self.size},), got {flat.shape}")
        return {
            name: flat[start : start + math.prod(shape)].reshape(shape) for name, (start, shape) in self._blocks.items()
        }
