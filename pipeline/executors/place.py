"""The place: where a shard is computed. The same bits come out of each.

It is the small interface between the stages and the arithmetic.
"""

from __future__ import annotations

from typing import Protocol

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ..plan.messages import Ticket

__all__ = ["Place"]


class Place(Protocol):
    """Computes one shard; see `recurrio.core.model.shard.ShardRank`."""

    async def forward(self, ticket: Ticket, version_row: int, batch: SequenceBatch) -> float:
        """Run the forward pass with the parameters in `version_row`, and return the summed loss."""
        ...

    async def backward(self, ticket: Ticket) -> Array:
        """Run the whole backward pass, and return the gradient ``(ranks, size)``, which the workspace keeps."""
        ...

    async def recurrence(self, ticket: Ticket) -> None:
        """Run the first half of the backward pass, back to the first step."""
        ...

    async def weight_gradient(self, ticket: Ticket) -> Array:
        """Run the second half, the products; returns the gradient as `backward` does."""
        ...

    def give_up(self) -> None:
        """Wait no longer for passes that cannot be cancelled; the run is at its end."""
        ...
