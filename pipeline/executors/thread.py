"""The thread executor: worker threads, one hop a pass, so the event loop stays free."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, TypeVar

import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.model.shard import Shard
from ..plan.messages import Ticket
from ..plan.plan import Plan
from .executor import Work
from .inline import open_shards
from .place import Place

__all__ = ["ThreadExecutor", "ThreadPlace"]

T = TypeVar("T")


class ThreadPlace:
    """Computes in a worker thread.

    A pass that has begun is not abandoned: cancellation waits for it, so no thread writes after the run. `give_up` is
    the exception, for a pass that hangs; its thread then goes on in buffers that nobody reads any more.
    """

    def __init__(self, shard: Shard, gradients: Array, limiter: trio.CapacityLimiter) -> None:
        self._shard, self._gradients, self._limiter = shard, gradients, limiter
        self._passes: set[trio.CancelScope] = set()

    async def forward(self, ticket: Ticket, version_row: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return await self._run(lambda: self._shard.forward(ticket.workspace, version_row, ticket.batch_number, batch))

    async def backward(self, ticket: Ticket) -> Array:
        """See `Place`."""
        await self._run(lambda: self._shard.backward(ticket.workspace, 1 / ticket.total))
        return self._gradients[:, ticket.workspace]

    async def recurrence(self, ticket: Ticket) -> None:
        """See `Place`."""
        await self._run(lambda: self._shard.backward(ticket.workspace, 1 / ticket.total, whole=False))

    async def weight_gradient(self, ticket: Ticket) -> Array:
        """See `Place`."""
        await self._run(lambda: self._shard.weight_gradient(ticket.workspace))
        return self._gradients[:, ticket.workspace]

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


class ThreadExecutor:
    """See `Executor`."""

    name: ClassVar[str] = "thread"
    holds_up_the_loop: ClassVar[bool] = False
    starts_slowly: ClassVar[bool] = False

    @staticmethod
    def refuses(plan: Plan) -> str | None:
        """See `Executor`."""
        return None

    @staticmethod
    def workers(plan: Plan) -> int:
        """See `Executor`."""
        return plan.passes()

    def __init__(self, work: Work) -> None:
        self.memory = work.state.memory(work.plan.workspaces())
        limiter = trio.CapacityLimiter(work.plan.passes())
        shards = open_shards(work, self.memory)
        self.places: Sequence[Place] = [
            ThreadPlace(shard, rows, limiter) for shard, rows in zip(shards, self.memory.gradients, strict=True)
        ]

    async def ready(self) -> None:
        """See `Executor`."""

    def watches(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """See `Executor`."""
        return ()

    def close(self) -> None:
        """See `Executor`."""

    def release(self) -> None:
        """See `Executor`."""
