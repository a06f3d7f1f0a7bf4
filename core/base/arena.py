"""The arena: arrays handed out one behind the other, from one block of memory that ranks can share."""

from __future__ import annotations

import math

import numpy as np

from .parameters import Array

__all__ = ["ALIGNMENT", "Arena"]

ALIGNMENT = 64  # bytes; a cache line


class Arena:
    """Hands out the arrays that ranks share, from one block of `memory`.

    Ranks that ask in the same order get the same arrays, whichever process they are in. Without `memory` the
    arrays are fresh. ``size`` is where the next array begins.
    """

    def __init__(self, memory: Array | None = None, start: int = 0) -> None:
        self._memory = memory
        self.size = start

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The next array, of zeros if the memory is."""
        start, length = self.size, math.prod(shape) * dtype.itemsize
        self.size += -(-length // ALIGNMENT) * ALIGNMENT
        if self._memory is None:
            return np.zeros(shape, dtype)
        return self._memory[start : start + length].view(dtype).reshape(shape)

    def skip(self, size: int) -> None:
        """Leave `size` bytes to somebody else."""
        self.size += -(-size // ALIGNMENT) * ALIGNMENT
