"""The inline place: the event loop itself."""

from __future__ import annotations

from ...core.model.batch import SequenceBatch
from ...core.model.shard import Shard

__all__ = ["InlinePlace"]


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
