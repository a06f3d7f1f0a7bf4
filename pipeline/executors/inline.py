"""The inline executor: the event loop itself. Best where a pass takes less than a hop to a thread."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.model.run_memory import RunMemory
from ...core.model.shard import Shard
from ..plan.messages import Ticket
from ..plan.plan import Plan
from .executor import Work
from .place import Place

__all__ = ["InlineExecutor", "InlinePlace", "open_shards"]


def open_shards(work: Work, memory: RunMemory) -> list[Shard]:
    """The shards of a run in this process."""
    state, widths = work.state, work.state.widths
    return [Shard(state.model, work.steps, width, memory, m, state.seed) for m, width in enumerate(widths)]


class InlinePlace:
    """Computes in the event loop, without a checkpoint."""

    def __init__(self, shard: Shard, gradients: Array) -> None:
        self._shard, self._gradients = shard, gradients

    async def forward(self, ticket: Ticket, version_row: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        return self._shard.forward(ticket.workspace, version_row, ticket.batch_number, batch)

    async def backward(self, ticket: Ticket) -> Array:
        """See `Place`."""
        self._shard.backward(ticket.workspace, 1 / ticket.total)
        return self._gradients[:, ticket.workspace]

    async def recurrence(self, ticket: Ticket) -> None:
        """See `Place`."""
        self._shard.backward(ticket.workspace, 1 / ticket.total, whole=False)

    async def weight_gradient(self, ticket: Ticket) -> Array:
        """See `Place`."""
        self._shard.weight_gradient(ticket.workspace)
        return self._gradients[:, ticket.workspace]

    def give_up(self) -> None:
        """See `Place`; a pass that hangs here lets nobody call this."""


class InlineExecutor:
    """See `Executor`."""

    name: ClassVar[str] = "inline"
    holds_up_the_loop: ClassVar[bool] = True
    starts_slowly: ClassVar[bool] = False

    @staticmethod
    def refuses(plan: Plan) -> str | None:
        """See `Executor`."""
        return None

    @staticmethod
    def workers(plan: Plan) -> int:
        """See `Executor`."""
        return 1

    def __init__(self, work: Work) -> None:
        self.memory = work.state.memory(work.plan.workspaces())
        shards = open_shards(work, self.memory)
        self.places: Sequence[Place] = [
            InlinePlace(shard, rows) for shard, rows in zip(shards, self.memory.gradients, strict=True)
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
