"""A shard: some of a batch's lanes, with their hidden state and the workspaces of their batches in flight."""

from __future__ import annotations

import math

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank, lockstep
from ..cells.buffers import State
from .batch import SequenceBatch
from .key_states import RankKeys
from .run_memory import RunMemory
from .sequence_model import SequenceModel
from .workspace import shared_bytes

__all__ = ["Shard", "ShardRank"]


class ShardRank:
    """What one rank does for a shard, in the workspaces that `gradients` ``(workspaces, size)`` are the results of.

    Batches have up to `steps` × `lanes`. `parameters` ``(rows, size)`` holds the parameter versions in use; `arena`
    gives what the ranks share. `states` are those of the lanes, for the units of this rank, one behind the other as in
    `RunMemory`: batch k finds its own at ``k % len(states)`` and leaves the next one behind it; or, where batches are
    of keys, they are in the table of `keys`. So make the forward passes in batch order. Dropout is drawn from `seed`,
    the rank and the number of the batch, so it needs no state.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        gradients: Array,
        states: list[list[State]],
        rank: Rank,
        arena: Arena,
        seed: tuple[int, ...] = (),
        keys: RankKeys | None = None,
    ) -> None:
        self._states, self._lanes, self._seed = states, lanes, (*seed, rank.index)
        self._keys = keys
        self._versions = [model.network.blocks(row) for row in parameters]
        # For each of the states, its arrays with those of the next one.
        following = [*states[1:], *states[:1]]
        self._carries = [
            [(old, new) for parts in zip(*pair, strict=True) for old, new in zip(*parts, strict=True)]
            for pair in zip(states, following, strict=True)
        ]
        self._workspaces = [model.workspace(steps, lanes, gradient, rank, arena) for gradient in gradients]
        self._draws = model.network.draws

    def forward(self, workspace: int, version_row: int, batch_number: int, batch: SequenceBatch) -> Pass[float]:
        """The summed loss of the lanes of a batch, with the parameters in `version_row`; `workspace` keeps the rest.

        A batch can have fewer steps, and fewer lanes, which are the first of the shard; the others keep their state.
        """
        rng, lanes = None, batch.inputs.shape[1]
        if self._draws:
            rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((*self._seed, batch_number))))
        if self._keys is not None:
            return (yield from self._forward_keys(self._keys, workspace, version_row, batch_number, batch, rng))
        before = batch_number % len(self._states)
        for old, new in self._carries[before]:
            if batch.reset is not True:
                np.copyto(new, old)
            else:
                new[:, :lanes].fill(0)
                np.copyto(new[:, lanes:], old[:, lanes:])
        after = self._states[(before + 1) % len(self._states)]
        if lanes < self._lanes:
            after = [tuple(array[:, :lanes] for array in part) for part in after]
        loss = yield from self._workspaces[workspace].forward(self._versions[version_row], batch, after, rng)
        if not math.isfinite(loss):
            _clean(after)
        return loss

    def _forward_keys(
        self,
        keys: RankKeys,
        workspace: int,
        version_row: int,
        batch_number: int,
        batch: SequenceBatch,
        rng: np.random.Generator | None,
    ) -> Pass[float]:
        """The same for a batch of keys."""
        rows = batch.rows
        if rows is None or not len(rows):
            return (yield from self._workspaces[workspace].forward(self._versions[version_row], batch, [], rng))
        state = keys.gather(batch_number, rows)
        loss = yield from self._workspaces[workspace].forward(self._versions[version_row], batch, state, rng)
        if not math.isfinite(loss):
            _clean(state)
        keys.scatter(batch_number)
        return loss

    def backward(self, workspace: int, scale: float, whole: bool = True) -> Pass[None]:
        """Carry the gradient of `scale` times the summed loss of `workspace` back; if `whole`, all of the gradient."""
        yield from self._workspaces[workspace].backward(scale)
        if whole:
            yield from self.weight_gradient(workspace)

    def weight_gradient(self, workspace: int) -> Pass[None]:
        """Write the gradient of the parameters into the workspace's row of the gradients."""
        return self._workspaces[workspace].weight_gradient()


def _clean(states: list[State]) -> None:
    """Let a batch that comes later, and may be a good one, not begin from what is not finite."""
    for part in states:
        for array in part:
            array[~np.isfinite(array)] = 0


class Shard:
    """All ranks of the shard number `index` of a run, with its `memory`, in one thread, taking turns.

    Call it under ``np.errstate(over="ignore", invalid="ignore")``: what is not finite comes out so, and the update
    refuses it.
    """

    def __init__(self, model: SequenceModel, steps: int, lanes: int, memory: RunMemory, index: int, seed: int) -> None:
        gradients, states = memory.gradients[index], memory.states[index] if memory.states else []
        count, workspaces, _ = gradients.shape
        shared = Arena().block(shared_bytes(model.network, steps, lanes, count, workspaces)) if count > 1 else None
        self._ranks = [
            ShardRank(
                model,
                steps,
                lanes,
                memory.parameters,
                gradients[rank],
                [before[rank] for before in states],
                Rank(rank, count),
                Arena(shared),
                (seed, index),
                None if memory.keys is None else memory.keys.of_rank(index, Rank(rank, count)),
            )
            for rank in range(count)
        ]

    def forward(self, workspace: int, version_row: int, batch_number: int, batch: SequenceBatch) -> float:
        """See `ShardRank.forward`."""
        return lockstep([rank.forward(workspace, version_row, batch_number, batch) for rank in self._ranks])[0]

    def backward(self, workspace: int, scale: float, whole: bool = True) -> None:
        """See `ShardRank.backward`."""
        lockstep([rank.backward(workspace, scale, whole) for rank in self._ranks])

    def weight_gradient(self, workspace: int) -> None:
        """See `ShardRank.weight_gradient`."""
        lockstep([rank.weight_gradient(workspace) for rank in self._ranks])
