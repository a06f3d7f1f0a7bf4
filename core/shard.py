"""A shard: some of a batch's lanes, with their hidden state and the workspaces of their batches in flight."""

from __future__ import annotations

import numpy as np

from .batch import SequenceBatch
from .model import SequenceModel
from .parameters import Array
from .ranks import Arena, Pass, Rank, lockstep

__all__ = ["Member", "Shard", "arena_bytes"]


class Member:
    """What one rank does for a shard.

    `parameters` ``(slots, size)`` holds the parameter versions in use, `gradients` ``(workspaces, size)`` takes the
    results; `arena` gives what the ranks share. The hidden state of the lanes, for the units of this rank, is in here
    and nowhere else, and goes on from one forward pass to the next: make them in batch order. Dropout is drawn from
    `seed`, the rank and the number of the batch, so it needs no state.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        gradients: Array,
        rank: Rank,
        arena: Arena,
        seed: tuple[int, ...] = (),
    ) -> None:
        self._model, self._lanes, self._parameters, self._rank = model, lanes, parameters, rank
        self._workspaces = [model.workspace(steps, lanes, gradient, rank, arena) for gradient in gradients]
        self._state = model.initial_state(lanes, rank)
        self._seed, self._number = (*seed, rank.index), 0

    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> Pass[float]:
        """The summed loss of the lanes in `batch`, with the parameters in `slot`; `workspace` keeps the rest."""
        if batch.reset is True:
            self._state = self._model.initial_state(self._lanes, self._rank)
        rng = None
        if self._model.network.stack.dropout:
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((*self._seed, self._number))))
        self._number += 1
        return self._workspaces[workspace].forward(self._parameters[slot], batch, self._state, rng)

    def backward(self, workspace: int, scale: float) -> Pass[None]:
        """Write the gradient of `scale` times the summed loss of `workspace` into its row of the gradients."""
        return self._workspaces[workspace].backward(scale)


class Shard:
    """All ranks of a shard in one thread, taking turns. `gradients` is ``(ranks, workspaces, size)``."""

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        gradients: Array,
        seed: tuple[int, ...] = (),
    ) -> None:
        count = len(gradients)
        memory = np.zeros(arena_bytes(model, steps, lanes, count, gradients.shape[1]), np.uint8) if count > 1 else None
        self._members = [
            Member(model, steps, lanes, parameters, rows, Rank(index, count), Arena(memory), seed)
            for index, rows in enumerate(gradients)
        ]

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite comes out so; the update refuses it
    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """See `Member.forward`."""
        return lockstep([member.forward(workspace, slot, batch) for member in self._members])[0]

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, workspace: int, scale: float) -> None:
        """See `Member.backward`."""
        lockstep([member.backward(workspace, scale) for member in self._members])


def arena_bytes(model: SequenceModel, steps: int, lanes: int, ranks: int, workspaces: int) -> int:
    """How much memory the ranks of a shard share."""
    arena = Arena()
    for _ in range(workspaces):
        model.workspace(steps, lanes, None, Rank(0, ranks), arena)
    return arena.size
