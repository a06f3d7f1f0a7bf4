"""Places: where a shard is computed. The same bits come out of each.

A place is the small interface between the stages and the arithmetic: `forward` and `backward` of one shard, by
the numbers of a workspace and of a parameter slot. `InlinePlace` computes in the event loop, `ThreadPlace` in a
worker thread, `recurrio.pipeline.crew.Crew` in processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import trio

from ..core.batch import SequenceBatch
from ..core.shard import Shard

__all__ = ["InlinePlace", "Place", "ThreadPlace"]

T = TypeVar("T")


class Place(Protocol):
    """Computes one shard; see `recurrio.core.shard.Member` for the arguments."""

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


class InlinePlace:
    """Computes in the event loop, without a checkpoint. Best where a pass takes less than a hop."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    async def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return self._shard.forward(workspace, slot, number, batch)

    async def backward(self, workspace: int, scale: float, whole: bool) -> None:
        """See `Place`."""
        self._shard.backward(workspace, scale, whole)

    async def weight_gradient(self, workspace: int) -> None:
        """See `Place`."""
        self._shard.weight_gradient(workspace)

    def give_up(self) -> None:
        """See `Place`; a pass that hangs here lets nobody call this."""


class ThreadPlace:
    """Computes in a worker thread, one hop a pass, so the event loop stays free.

    A pass that has begun is not abandoned: cancellation waits for it, so no thread writes after the run. `give_up` is
    the exception, for a pass that hangs; its thread then goes on in buffers that nobody reads any more.
    """

    def __init__(self, shard: Shard, limiter: trio.CapacityLimiter) -> None:
        self._shard, self._limiter = shard, limiter
        self._passes: set[trio.CancelScope] = set()

    async def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return await self._run(lambda: self._shard.forward(workspace, slot, number, batch))

    async def backward(self, workspace: int, scale: float, whole: bool) -> None:
        """See `Place`."""
        await self._run(lambda: self._shard.backward(workspace, scale, whole))

    async def weight_gradient(self, workspace: int) -> None:
        """See `Place`."""
        await self._run(lambda: self._shard.weight_gradient(workspace))

    async def _run(self, compute: Callable[[], T]) -> T:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True) as scope:
            self._passes.add(scope)
            try:
                return await trio.to_thread.run_sync(compute, abandon_on_cancel=True, limiter=self._limiter)
            finally:
                self._passes.discard(scope)
        await trio.sleep_forever()  # given up: the run is being cancelled
        raise AssertionError

    def give_up(self) -> None:
        """Wait no longer for passes that are going on."""
        for scope in self._passes:
            scope.cancel()
