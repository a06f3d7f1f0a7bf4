"""The sequence batch, and its division into shards of lanes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_count
from ..base.parameters import Array

__all__ = ["SequenceBatch", "shard_lanes"]


class _Fields(NamedTuple):
    inputs: Array
    targets: Array
    reset: bool | Array = False
    lengths: Array | None = None


class SequenceBatch(_Fields):
    """`T` time steps of `B` lanes.

    ``inputs`` are tokens ``(T, B)``, integers in ``0…V−1``, or features ``(T, B, I)``. ``targets`` are classes
    ``(S, B)`` or numbers ``(S, B, F)``, with S = T for one output a step, and S = 1 for one output a sequence.
    ``reset`` says where the hidden state starts from zero: with True all of it does, for both directions, or
    ``(T, B)`` bool says it for each lane before each step that exists. ``lengths`` ``(B,)`` are the steps of each lane
    that exist; None is all of them.
    """

    __slots__ = ()

    def __new__(
        cls, inputs: Array, targets: Array, reset: bool | Array = False, lengths: Array | None = None
    ) -> SequenceBatch:
        """A NumPy bool, as a comparison of NumPy numbers gives, is a `reset` too."""
        return super().__new__(cls, inputs, targets, bool(reset) if isinstance(reset, np.bool_) else reset, lengths)

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> SequenceBatch:  # type: ignore[override]  # which `_replace` calls
        return cls(*iterable)

    @property
    def tokens(self) -> int:
        """T·B, the time steps of all lanes."""
        return int(self.inputs.shape[0] * self.inputs.shape[1])

    def lanes(self, lanes: slice) -> SequenceBatch:
        """The same steps of some lanes, in arrays of their own."""
        return SequenceBatch(
            self.inputs[:, lanes].copy(),
            self.targets[:, lanes].copy(),
            self.reset if isinstance(self.reset, bool) else self.reset[:, lanes].copy(),
            None if self.lengths is None else self.lengths[lanes].copy(),
        )


def shard_lanes(lanes: int, shards: int) -> list[slice]:
    """`lanes` split into `shards` neighbouring slices, the first ones longer by one where it does not divide."""
    lanes, shards = check_count("lanes", lanes), check_count("shards", shards, None)
    if not 1 <= shards <= lanes:
        raise ArgumentError("shards", f"1 to {lanes} (the lanes of a batch)", shards)
    size, longer = divmod(lanes, shards)
    starts = [shard * size + min(shard, longer) for shard in range(shards + 1)]
    return [slice(start, stop) for start, stop in pairwise(starts)]
