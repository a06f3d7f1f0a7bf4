"""A shard: some of a batch's lanes, with their hidden state and the workspaces of their batches in flight."""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank, lockstep
from ..cells.buffers import State
from .batch import SequenceBatch
from .sequence_model import SequenceModel

__all__ = ["Carried", "Shard", "ShardRank", "arena_bytes"]


class Carried:
    """What a shard keeps from batch to batch, wherever it is computed.

    ``gradients`` ``(ranks, workspaces, size)`` are the results, and ``states`` has for each rank the hidden state of
    the lanes, for the units of that rank.
    """

    def __init__(self, model: SequenceModel, lanes: int, ranks: int, workspaces: int, arena: Arena) -> None:
        self.gradients = arena.zeros((ranks, workspaces, model.layout.size), model.dtype)
        self.states = [model.initial_state(lanes, Rank(index, ranks), arena) for index in range(ranks)]


class ShardRank:
    """What one rank does for a shard, in the workspaces that `gradients` ``(workspaces, size)`` are the results of.

    `parameters` ``(slots, size)`` holds the parameter versions in use; `arena` gives what the ranks share. `state` is
    that of the lanes, for the units of this rank. It goes on from one forward pass to the next: make them in batch
    order. Dropout is drawn from `seed`, the rank and the number of the batch, so it needs no state.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        gradients: Array,
        state: list[State],
        rank: Rank,
        arena: Arena,
        seed: tuple[int, ...] = (),
    ) -> None:
        self._parameters, self._state, self._seed = parameters, state, (*seed, rank.index)
        self._workspaces = [model.workspace(steps, lanes, gradient, rank, arena) for gradient in gradients]
        self._drops = model.network.stack.dropout > 0

    def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> Pass[float]:
        """The summed loss of the lanes of batch `number`, with the parameters in `slot`; `workspace` keeps the rest."""
        if batch.reset is True:
            for part in self._state:
                for array in part:
                    array.fill(0)
        rng = None
        if self._drops:
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((*self._seed, number))))
        return self._workspaces[workspace].forward(self._parameters[slot], batch, self._state, rng)

    def backward(self, workspace: int, scale: float, whole: bool = True) -> Pass[None]:
        """Carry the gradient of `scale` times the summed loss of `workspace` back; if `whole`, all of the gradient."""
        yield from self._workspaces[workspace].backward(scale)
        if whole:
            yield from self.weight_gradient(workspace)

    def weight_gradient(self, workspace: int) -> Pass[None]:
        """Write the gradient of the parameters into the workspace's row of the gradients."""
        return self._workspaces[workspace].weight_gradient()


class Shard:
    """All ranks of a shard in one thread, taking turns."""

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        carried: Carried,
        seed: tuple[int, ...] = (),
    ) -> None:
        count, workspaces, _ = carried.gradients.shape
        memory = np.zeros(arena_bytes(model, steps, lanes, count, workspaces), np.uint8) if count > 1 else None
        self._members = [
            ShardRank(model, steps, lanes, parameters, rows, state, Rank(index, count), Arena(memory), seed)
            for index, (rows, state) in enumerate(zip(carried.gradients, carried.states, strict=True))
        ]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite comes out so; the update refuses it
    def forward(self, workspace: int, slot: int, number: int, batch: SequenceBatch) -> float:
        """See `ShardRank.forward`."""
        return lockstep([member.forward(workspace, slot, number, batch) for member in self._members])[0]

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, workspace: int, scale: float, whole: bool = True) -> None:
        """See `ShardRank.backward`."""
        lockstep([member.backward(workspace, scale, whole) for member in self._members])

    @np.errstate(over="ignore", invalid="ignore")
    def weight_gradient(self, workspace: int) -> None:
        """See `ShardRank.weight_gradient`."""
        lockstep([member.weight_gradient(workspace) for member in self._members])


def arena_bytes(model: SequenceModel, steps: int, lanes: int, ranks: int, workspaces: int) -> int:
    """How much memory the ranks of a shard share."""
    arena = Arena()
    for _ in range(workspaces):
        model.workspace(steps, lanes, None, Rank(0, ranks), arena)
    return arena.size
