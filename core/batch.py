"""The sequence batch, and its division into shards of lanes."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from .parameters import Array

__all__ = ["SequenceBatch", "shard_lanes"]


class SequenceBatch(NamedTuple):
    """`T` time steps of `B` lanes.

    ``inputs`` and ``targets`` are tokens ``(T, B)``, integers in ``0…V−1``. ``reset`` says that no lane goes on
    from the batch before: the hidden state starts from zero.
    """

    inputs: Array
    targets: Array
    reset: bool = False

    def lanes(self, lanes: slice) -> SequenceBatch:
        """The same steps of some lanes."""
        return SequenceBatch(self.inputs[:, lanes], self.targets[:, lanes], self.reset)


def shard_lanes(lanes: int, shards: int) -> list[slice]:
    """`lanes` split into `shards` neighbouring slices, the first ones longer by one where it does not divide."""
    if not 1 <= shards <= lanes:
        raise ValueError(f"shards: expected 1 to {lanes} (the lanes of a batch), got {shards}")
    size, longer = divmod(lanes, shards)
    starts = [shard * size + min(shard, longer) for shard in range(shards + 1)]
    return [slice(start, stop) for start, stop in pairwise(starts)]
