"""A batch in flight through a sequence model: memory for the largest batch, which smaller ones use a part of."""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena, Arenas, DryArena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from ..layers.embedding import largest_not_folded
from .batch import SequenceBatch
from .network import Blocks, Network
from .passes import Passes

__all__ = ["Workspace", "kept_shapes", "shared_bytes"]

KEPT_STEPS, KEPT_SHAPES = 512, 8


def kept_shapes(steps: int) -> int:
    """How many shapes of batches of up to `T` steps are kept laid out: so many as have `KEPT_STEPS`, or `KEPT_SHAPES`.

    A shape that is not among them is laid out again, in the same memory. That takes as long as many short batches do,
    and these may have any number of lanes.
    """
    return max(KEPT_SHAPES, KEPT_STEPS // steps)


class Workspace:
    """The memory of one batch in flight, up to `T` steps of `B` lanes, for one rank. Made once, reused.

    `gradient` ``(size,)`` is the vector that the backward pass writes: the whole gradient is the sum over the
    ranks. What the ranks share comes from `arena`. A batch of another shape gives the same bits as in a workspace of
    its own, whatever came between.
    """

    def __init__(self, network: Network, steps: int, lanes: int, gradient: Array, rank: Rank, arena: Arena) -> None:
        self._network, self._rank = network, rank
        shared, own = _bytes(network, steps, lanes, rank.count)
        self._shared, self._losses = _lay_out(shared, rank.count, arena)
        self._own = Arena().block(own)
        gradient.fill(0)
        self.gradient = gradient
        self._kept: dict[tuple[int, int], Passes] = {}  # the one used last at the end
        self._now: Passes | None = None
        self._most_kept = kept_shapes(steps)
        self.passes(steps, lanes)

    def passes(self, steps: int, lanes: int) -> Passes:
        """What computes batches of this shape. It is good until another shape is asked for."""
        shape = (steps, lanes)
        if self._now is not None and self._now.shape == shape:
            return self._now
        found = self._kept.pop(shape, None)
        if found is None:
            if len(self._kept) == self._most_kept:
                del self._kept[next(iter(self._kept))]
            arenas = Arenas(Arena(self._shared), Arena(self._own))
            network, folded = self._network, self._network.folds(steps, lanes)
            found = Passes(network, steps, lanes, self.gradient, self._losses, self._rank, arenas, folded=folded)
        else:
            found.arenas.restore()
        self._kept[shape] = self._now = found
        return found

    def outputs(
        self, blocks: Blocks, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[Array]:
        """The outputs ``(F, columns)`` for the inputs of `batch`, of this rank's columns. Moves `state` on."""
        return self.passes(*batch.inputs.shape[:2]).outputs(blocks, batch, state, rng)

    def forward(
        self, blocks: Blocks, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[float]:
        """The summed loss of `batch`, of all ranks. Moves `state` on; with `rng` there is dropout."""
        now, (steps, lanes) = self._now, batch.inputs.shape[:2]
        if not lanes:
            self._now = None
            return _no_loss()
        if now is None or now.shape != (steps, lanes):
            now = self.passes(steps, lanes)
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


def shared_bytes(network: Network, steps: int, lanes: int, ranks: int, workspaces: int) -> int:
    """How much memory the ranks of so many workspaces take from their arena."""
    shared, arena = _bytes(network, steps, lanes, ranks)[0], DryArena()
    for _ in range(workspaces):
        _lay_out(shared, ranks, arena)
    return arena.size


def _lay_out(size: int, ranks: int, arena: Arena) -> tuple[Array, Array]:
    """What the ranks share: `size` bytes, and their losses, which are there whatever the shape of the batch."""
    return arena.block(size), arena.zeros((ranks,), np.dtype(np.float64))


def _bytes(network: Network, steps: int, lanes: int, ranks: int) -> tuple[int, int]:
    """The bytes that any batch up to `steps` × `lanes` needs: those that ranks share, and those of each."""
    folded = network.folds(steps, lanes)
    needs = [_needs(network, steps, lanes, ranks, folded=folded)]
    if folded and network.vocabulary_size is not None:
        needs.append(_needs(network, *largest_not_folded(lanes, network.vocabulary_size), ranks, folded=False))
    shared, own = zip(*needs, strict=True)
    return max(shared), max(own)


def _needs(network: Network, steps: int, lanes: int, ranks: int, *, folded: bool) -> tuple[int, int]:
    """The bytes of one shape, counted by laying it out dry. The last rank's share is the largest one."""
    arenas, last = Arenas(DryArena(), DryArena()), Rank(ranks - 1, ranks)
    gradient, losses = np.broadcast_to(network.stack.dtype.type(0), network.layout.size), np.empty(ranks)
    Passes(network, steps, lanes, gradient, losses, last, arenas, folded=folded)
    return arenas.shared.size, arenas.own.size
