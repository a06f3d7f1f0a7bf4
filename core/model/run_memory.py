"""The arrays of a run that outlive a batch: parameter versions, gradients and hidden states."""

from __future__ import annotations

from ..base.arena import Arena
from ..base.parameters import Array
from ..base.ranks import Rank
from ..cells.buffers import State
from .key_states import KeyStates
from .trainable import Trainable

__all__ = ["RunMemory"]


class RunMemory:
    """What a run keeps from batch to batch, in one `arena`, wherever it is computed.

    `widths` are the lanes of each shard, `rows` the parameter versions that have a place, and `workspaces` how many
    batches of a shard can be in flight.

    - ``parameters`` ``(rows, size)``: version v is in row ``v % rows``.
    - ``gradients``: of each shard ``(ranks, workspaces, size)``.
    - ``states``: of each shard, by the batch that they stand before, and by rank, the hidden states of the lanes. That
      before batch k is at ``k % (workspaces + 1)``: no batch in flight overwrites the one of a batch that is not
      applied yet, so a run that is cut short knows it.
    - ``keys``: in their place, where batches are of so many keys, the table of their states; it can be there already,
      as `tables`.
    """

    def __init__(
        self,
        model: Trainable,
        widths: list[int],
        *,
        ranks: int,
        rows: int,
        workspaces: int,
        keys: int = 0,
        arena: Arena,
        tables: list[Array] | None = None,
    ) -> None:
        self.parameters = arena.zeros((rows, model.layout.size), model.dtype)
        self.gradients = [arena.zeros((ranks, workspaces, model.layout.size), model.dtype) for _ in widths]
        self.keys: KeyStates | None = None
        self.states: list[list[list[list[State]]]] = []
        if keys:
            sizes = {"ranks": ranks, "workspaces": workspaces}
            self.keys = KeyStates(model, keys, widths, **sizes, arena=arena, tables=tables)
            return
        self.states = [
            [
                [model.initial_state(width, Rank(index, ranks), arena) for index in range(ranks)]
                for _ in range(workspaces + 1)
            ]
            for width in widths
        ]

    def state_before(self, batch_number: int) -> list[list[list[State]]]:
        """The hidden states before a batch: of each shard, and each rank."""
        return [ring[batch_number % len(ring)] for ring in self.states]
