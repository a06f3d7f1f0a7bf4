"""A batch in flight through a model: memory for the largest batch, which smaller ones use a part of."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..base.arena import Arena, Arenas, DryArena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from .batch import SequenceBatch
from .trainable import BatchPasses, Shape, Trainable

__all__ = ["Workspace", "kept_shapes", "shared_bytes"]

KEPT_STEPS, FEWEST, MOST = 2048, 16, 64


def kept_shapes(steps: int) -> int:
    """How many shapes of batches of up to `T` steps are kept laid out: so many as have `KEPT_STEPS`, but 16 to 64.

    A shape that is not among them is laid out again, in the same memory. That takes as long as many short batches do,
    and these may have any number of lanes.
    """
    return min(MOST, max(FEWEST, KEPT_STEPS // steps))


class Workspace:
    """The memory of one batch in flight, up to `T` steps of `B` lanes, for one rank. Made once, reused.

    `gradient` ``(size,)`` is the vector that the backward pass writes: the whole gradient is the sum over the
    ranks. What the ranks share comes from `arena`. A batch of another shape gives the same bits as in a workspace of
    its own, whatever came between.
    """

    def __init__(self, model: Trainable, steps: int, lanes: int, gradient: Array, rank: Rank, arena: Arena) -> None:
        self._model, self._network, self._rank = model, model.network, rank
        shared, own = model.room(steps, lanes, rank.count)
        self._shared, self._losses = _lay_out(shared, rank.count, arena)
        self._own = Arena().block(own)
        gradient.fill(0)
        self.gradient = gradient
        self._kept: dict[Shape, BatchPasses] = {}  # the one used last at the end
        self._now: BatchPasses | None = None
        self._most_kept = kept_shapes(steps)
        self.passes(*self._network.largest(steps, lanes))

    def passes(self, *shape: int) -> BatchPasses:
        """What computes batches of this shape. It is good until another shape is asked for."""
        if self._now is not None and self._now.shape == shape:
            return self._now
        found = self._kept.pop(shape, None)
        if found is None:
            if len(self._kept) == self._most_kept:
                del self._kept[next(iter(self._kept))]
            arenas = Arenas(Arena(self._shared), Arena(self._own))
            found = self._model.open(shape, self.gradient, self._losses, self._rank, arenas)
        else:
            found.arenas.restore()
        self._kept[shape] = self._now = found
        return found

    def forward(
        self,
        blocks: Any,  # noqa: ANN401 (those of the network)
        batch: SequenceBatch,
        state: list[State],
        rng: np.random.Generator | None = None,
    ) -> Pass[float]:
        """The summed loss of `batch`, of all ranks. Moves `state` on; with `rng` there is dropout."""
        now, shape = self._now, self._network.shape(batch)
        if not shape[-1]:
            self._now = None
            return _no_loss()
        if now is None or now.shape != shape:
            now = self.passes(*shape)
        return now.forward(blocks, batch, state, rng)

    def backward(self, scale: float) -> Pass[None]:
        """After `forward`: carry the gradient of `scale` times the summed loss back to the first step."""
        return _nothing() if self._now is None else self._now.backward(scale)

    def weight_gradient(self) -> Pass[None]:
        """After `backward`: write this rank's part of the gradient of the parameters."""
        return _no_gradient(self.gradient) if self._now is None else self._now.weight_gradient()


def _no_loss() -> Pass[float]:
    """The forward pass of a batch without lanes, as of a shard that a small batch leaves empty."""
    yield
    return 0.0


def _nothing() -> Pass[None]:
    """Its backward pass."""
    yield


def _no_gradient(gradient: Array) -> Pass[None]:
    """Its gradient."""
    gradient.fill(0)
    yield


def shared_bytes(model: Trainable, steps: int, lanes: int, ranks: int, workspaces: int) -> int:
    """How much memory the ranks of so many workspaces take from their arena."""
    shared, arena = model.room(steps, lanes, ranks)[0], DryArena()
    for _ in range(workspaces):
        _lay_out(shared, ranks, arena)
    return arena.size


def _lay_out(size: int, ranks: int, arena: Arena) -> tuple[Array, Array]:
    """What the ranks share: `size` bytes, and their losses, which are there whatever the shape of the batch."""
    return arena.block(size), arena.zeros((ranks,), np.dtype(np.float64))
