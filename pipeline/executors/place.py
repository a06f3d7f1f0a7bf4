"""The place: where a shard is computed. The same bits come out of each.

It is the small interface between the stages and the arithmetic.
"""

from __future__ import annotations

from typing import Protocol

from ...core.model.batch import SequenceBatch

__all__ = ["Place"]


class Place(Protocol):
    """Computes one shard; see `recurrio.core.model.shard.ShardRank` for the arguments."""

    async def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> float:
        """Run the forward pass and return the summed loss."""
        ...

    async def backward(self, workspace: int, scale: float, whole: bool) -> None:
        """Run the backward pass; if it is the `whole` of it, the gradient is complete when it returns."""
        ...

    async def weight_gradient(self, workspace: int) -> None:
        """Run what `backward` has left, when it was not to do the whole."""
        ...

    def give_up(self) -> None:
        """Wait no longer for passes that cannot be cancelled; the run is at its end."""
        ...
