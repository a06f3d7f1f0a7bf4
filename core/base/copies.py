"""Copies of a table that are made again and again."""

from __future__ import annotations

import sys
from copy import copy
from typing import TypeVar

import numpy as np

from .parameters import Array

__all__ = ["Copies", "owned"]

KEPT = 2  # memories: one copy may still be written to a disk while another is made
UNUSED = 3  # references to a memory in the loop below
LARGE = 1 << 20  # bytes

T = TypeVar("T")


class Copies:
    """Copies of the first rows of `table`, in memory that an earlier copy has had and nobody looks at any more.

    Memory that nobody has written to yet takes several times as long to be, and now and then ten times as long. So it
    can also be prepared, in another thread.
    """

    def __init__(self, table: Array) -> None:
        self._table = table
        self._memories: list[tuple[Array, int]] = []  # and how many rows of each have been written to

    def first(self, rows: int) -> Array:
        """A copy of the first `rows`."""
        memories = self._memories
        for index, (memory, written) in enumerate(memories):
            if sys.getrefcount(memory) == UNUSED:
                memories[index] = memory, max(written, rows)
                break
        else:
            memory = np.empty_like(self._table)  # rows that are not written to take no memory
            self._memories = [(memory, rows), *memories][:KEPT]
        copy: Array = memory[:rows]
        copy[...] = self._table[:rows]
        return copy

    def unprepared(self, rows: int) -> bool:
        """Whether copies of so many rows would take memory that nobody has written to yet, and much of it."""
        ready = sum(written >= rows for _, written in self._memories)
        return ready < KEPT and self._table[:rows].nbytes >= LARGE

    def prepare(self, rows: int) -> None:
        """See that a copy of so many rows, and of some more, will find memory that has been written to."""
        memory, rows = np.empty_like(self._table), min(2 * rows, len(self._table))
        memory[:rows] = 0
        self._memories = [(memory, rows), *self._memories][:KEPT]


def owned(thing: T) -> T:
    """A copy of it with arrays and lists of its own; what else it has is shared. Faster than ``deepcopy``."""
    found = copy(thing)
    for name, value in vars(found).items():
        if isinstance(value, np.ndarray | list):
            setattr(found, name, value.copy())
    return found
