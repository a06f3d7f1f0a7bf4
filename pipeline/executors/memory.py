"""The arrays of a run that outlive a batch: parameter versions, gradients and hidden states."""

from __future__ import annotations

from ...core.base.arena import Arena
from ...core.model.sequence_model import SequenceModel
from ...core.model.shard import Carried

__all__ = ["Shared"]


class Shared:
    """What a run keeps from batch to batch, in one `arena`.

    That is ``parameters`` ``(slots, size)``, and ``carried`` of each shard.
    """

    def __init__(
        self, model: SequenceModel, lanes: list[int], *, ranks: int, slots: int, workspaces: int, arena: Arena
    ) -> None:
        self.parameters = arena.zeros((slots, model.layout.size), model.dtype)
        self.carried = [Carried(model, count, ranks, workspaces, arena) for count in lanes]
