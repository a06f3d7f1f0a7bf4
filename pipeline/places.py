"""Places: where a shard is computed. The same bits come out of each.

A place is the small interface between the stages and the arithmetic: `forward` and `backward` of one shard, by
the numbers of a workspace and of a parameter slot. `InlinePlace` computes in the event loop, `ThreadPlace` in a
worker thread.
"""

from __future__ import annotations

from typing import Protocol

import trio

from ..core.batch import SequenceBatch

__all__ = ["Computer", "InlinePlace", "Place", "ThreadPlace"]


class Computer(Protocol):
    """What a place runs: `recurrio.core.shard.Shard`, or a crew."""

    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """Run the forward pass and return the summed loss."""
        ...

    def backward(self, workspace: int, scale: float) -> None:
        """Run the backward pass of the workspace."""
        ...


class Place(Protocol):
    """Computes one shard; see `recurrio.core.shard.Member` for the arguments."""

    async def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """Run the forward pass and return the summed loss."""
        ...

    async def backward(self, workspace: int, scale: float) -> None:
        """Run the backward pass; when it returns, the gradient is complete."""
        ...


class InlinePlace:
    """Computes in the event loop, with a checkpoint before. Best where a pass takes less than a thread hop."""

    def __init__(self, shard: Computer) -> None:
        self._shard = shard

    async def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        await trio.lowlevel.checkpoint()
        return self._shard.forward(workspace, slot, batch)

    async def backward(self, workspace: int, scale: float) -> None:
        """See `Place`."""
        await trio.lowlevel.checkpoint()
        self._shard.backward(workspace, scale)


class ThreadPlace:
    """Computes in a worker thread, one hop a pass, so the event loop stays free.

    A pass that has begun is never abandoned: cancellation waits for it, so no thread writes after the run.
    """

    def __init__(self, shard: Computer, limiter: trio.CapacityLimiter) -> None:
        self._shard, self._limiter = shard, limiter

    async def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return await trio.to_thread.run_sync(
            self._shard.forward, workspace, slot, batch, abandon_on_cancel=False, limiter=self._limiter
        )

    async def backward(self, workspace: int, scale: float) -> None:
        """See `Place`."""
        await trio.to_thread.run_sync(
            self._shard.backward, workspace, scale, abandon_on_cancel=False, limiter=self._limiter
        )
