"""The arena: arrays handed out one behind the other, from one block of memory, which ranks can share."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .parameters import Array

__all__ = ["ALIGNMENT", "Arena", "Arenas", "DryArena"]

ALIGNMENT = 64  # bytes; a cache line
BYTE = np.dtype(np.uint8)


class Arena:
    """Hands out arrays from one block of `memory`.

    Who asks in the same order gets the same arrays, whichever process it is in. Without `memory` the arrays are fresh.
    ``size`` is where the next array begins. Several arenas over one memory are several ways to see it: what one has
    written is nonsense to the others, and `restore` brings back what does not change.
    """

    def __init__(self, memory: Array | None = None, start: int = 0) -> None:
        self._memory = memory
        self.size = start
        self._constants: list[tuple[Array, Array | float]] = []

    def zeros(self, shape: tuple[int, ...], dtype: np.dtype) -> Array:
        """The next array, of zeros if the memory is."""
        part = self._take(shape, dtype, 0)
        return np.zeros(shape, dtype) if part is None else part

    def empty(self, shape: tuple[int, ...], dtype: np.dtype, room: int = 0) -> Array:
        """The next array, with anything in it; it takes `room` bytes where that is more than its own."""
        part = self._take(shape, dtype, room)
        return np.empty(shape, dtype) if part is None else part

    def block(self, size: int) -> Array:
        """`size` bytes, for an arena over them; nothing says what is in them."""
        if self._memory is not None:
            return self.empty((size,), BYTE)
        memory = self.empty((size + ALIGNMENT,), BYTE)
        start = -memory.ctypes.data % ALIGNMENT
        return memory[start : start + size]

    def keep(self, view: Array, value: Array | float) -> None:
        """Write `value` into `view`, part of an array of this arena that nobody else writes to."""
        view[...] = value
        self._constants.append((view, value))

    def restore(self) -> None:
        """Write again what is to be kept, after another arena has used the memory."""
        for view, value in self._constants:
            view[...] = value

    def _take(self, shape: tuple[int, ...], dtype: np.dtype, room: int) -> Array | None:
        start, length = self.size, math.prod(shape) * dtype.itemsize
        self.size += -(-max(length, room) // ALIGNMENT) * ALIGNMENT
        if self._memory is None:
            return None
        assert start + length <= len(self._memory), "the memory is too small"
        return self._memory[start : start + length].view(dtype).reshape(shape)

    def skip(self, size: int) -> None:
        """Leave `size` bytes to somebody else."""
        self.size += -(-size // ALIGNMENT) * ALIGNMENT


class DryArena(Arena):
    """Counts what would be handed out; its arrays have the right shapes, no memory, and cannot be written."""

    def _take(self, shape: tuple[int, ...], dtype: np.dtype, room: int) -> Array | None:
        super()._take(shape, dtype, room)
        return np.broadcast_to(np.zeros((), dtype), shape)

    def block(self, size: int) -> Array:
        """As `Arena.block` of a memory."""
        return self.empty((size,), BYTE)

    def keep(self, view: Array, value: Array | float) -> None:
        """There is nothing to write to."""


class Arenas(NamedTuple):
    """Where a rank's arrays come from: those that the ranks ``share``, and its ``own``."""

    shared: Arena
    own: Arena

    def restore(self) -> None:
        """See `Arena.restore`."""
        self.shared.restore()
        self.own.restore()
