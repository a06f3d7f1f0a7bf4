"""The thread place: worker threads, one hop a pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

from ...core.model.batch import SequenceBatch
from ...core.model.shard import Shard

__all__ = ["ThreadPlace"]

T = TypeVar("T")


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
