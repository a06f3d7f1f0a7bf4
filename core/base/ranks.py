"""Ranks: several workers that compute one shard together, each a share of its hidden units, in lockstep.

A pass of one rank is a generator. It yields wherever it needs what the other ranks have written up to there, and
goes on when all have come that far; in between it writes only what is its own. So the same code runs in one
thread, with the ranks taking turns (`lockstep`), or in processes that wait for each other, and gives the same bits.
The number of ranks can change the last bits, because it cuts products up; it belongs to the configuration.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["Pass", "Rank", "lockstep"]

T = TypeVar("T")
Pass = Generator[None, None, T]


@dataclass(frozen=True)
class Rank:
    """Number `index` of `count` workers."""

    index: int = 0
    count: int = 1

    def share(self, size: int) -> slice:
        """This rank's part of ``range(size)``: neighbouring parts, as equal as can be."""
        return slice(size * self.index // self.count, size * (self.index + 1) // self.count)


def lockstep(passes: list[Pass[T]]) -> list[T]:
    """Run the passes of all ranks to their ends, in turns, and return what each returns."""
    if len(passes) == 1:  # nobody to take turns with
        try:
            while True:
                next(passes[0])
        except StopIteration as stop:
            return [stop.value]
    results: dict[int, T] = {}
    while len(results) < len(passes):
        for index, one in enumerate(passes):
            try:
                next(one)
            except StopIteration as stop:
                results[index] = stop.value
    return [results[index] for index in range(len(passes))]
