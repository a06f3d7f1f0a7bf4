"""The passes over the batches of one shape: embedding? → stack → head, forward and backward."""

from __future__ import annotations

import numpy as np

from ..base.arena import Arenas, DryArena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from ..layers.embedding import largest_not_folded, open_embedding
from ..layers.stack import StackWorkspace
from .batch import SequenceBatch
from .network import Blocks, Network

__all__ = ["Passes", "needs", "room"]


class Passes:
    """The buffers of one batch of `T` steps of `B` lanes, for one rank, and what is computed in them.

    `gradient` ``(size,)`` is the vector that the backward pass writes: the whole gradient is the sum over the ranks,
    whose losses meet in `losses` ``(ranks,)``. Where the embedding can be `folded` into the stack, it is.
    """

    def __init__(
        self,
        network: Network,
        steps: int,
        lanes: int,
        gradient: Array,
        losses: Array,
        rank: Rank,
        arenas: Arenas,
        *,
        folded: bool,
    ) -> None:
        stack = network.stack
        self.shape, self.arenas = (steps, lanes), arenas
        self._network, self._rank, self._losses = network, rank, losses
        self.embedding = None
        if network.vocabulary_size is None:
            self._stack = StackWorkspace(stack, steps, lanes, rank, arenas)
        else:
            sizes = (steps, lanes, network.vocabulary_size)
            dropout = network.embedding_dropout
            self.embedding = open_embedding(stack, *sizes, rank, arenas, folded=folded, dropout=dropout)
            self._stack = self.embedding.workspace
        self._inputs = rank.share(stack.sizes[0].input_size)
        self._head = network.head.open(
            self._stack, network.loss, network.output_size, arenas, dropout=network.output_dropout
        )
        self._d_views = network.layout.views(gradient)
        self._d_weights = stack.weights(self._d_views, "rnn.")
        self._views: dict[str, Array] = {}  # of the parameters in use

    def outputs(
        self, blocks: Blocks, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[Array]:
        """See `recurrio.core.model.workspace.Workspace`."""
        masks, (views, weights) = self._network.masks(batch), blocks
        self._views = views
        if self.embedding is not None:
            yield from self.embedding.forward(views["embedding.weight"], weights, batch.inputs, state, masks, rng)
        else:
            inputs = batch.inputs if self._rank.count == 1 else batch.inputs[:, :, self._inputs]
            if masks is not None:
                inputs = np.where(masks.padding[:, :, None], 0, inputs)
            self._stack.write(self._inputs, inputs.transpose(2, 0, 1))
            yield from self._stack.forward(weights, state, masks, rng=rng)
        if batch.carry is not None:
            self._stack.state_after(batch.carry, batch.lengths, state)
        return (yield from self._head.outputs(views, masks, rng))

    def forward(
        self, blocks: Blocks, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[float]:
        """See `recurrio.core.model.workspace.Workspace`."""
        outputs = yield from self.outputs(blocks, batch, state, rng)
        if batch.classes:
            outputs[batch.classes :] = -np.inf
        self._losses[self._rank.index] = yield from self._head.loss(batch.targets, self._network.counted(batch))
        yield
        return float(sum(self._losses.tolist()))

    def backward(self, scale: float) -> Pass[None]:
        """See `recurrio.core.model.workspace.Workspace`."""
        for loop in self._stack.kernels:
            for gradient in loop.d_state:
                gradient.fill(0)
        yield from self._head.backward(self._views, scale)
        yield from self._stack.backward()

    def weight_gradient(self) -> Pass[None]:
        """See `recurrio.core.model.workspace.Workspace`."""
        self._head.weight_gradient(self._d_views)
        if self.embedding is not None:
            self.embedding.weight_gradient(self._d_views["embedding.weight"], self._d_weights)
        else:
            self._stack.weight_gradient(self._d_weights)
        yield  # the gradient is complete when all ranks have come here


def room(network: Network, steps: int, lanes: int, ranks: int) -> tuple[int, int]:
    """The bytes that any batch up to `steps` × `lanes` needs: those that ranks share, and those of each."""
    folded = network.folds(steps, lanes)
    found = [needs(network, steps, lanes, ranks, folded=folded)]
    if folded and network.vocabulary_size is not None:
        found.append(needs(network, *largest_not_folded(lanes, network.vocabulary_size), ranks, folded=False))
    shared, own = zip(*found, strict=True)
    return max(shared), max(own)


def needs(network: Network, steps: int, lanes: int, ranks: int, *, folded: bool) -> tuple[int, int]:
    """The bytes of one shape, counted by laying it out dry. The last rank's share is the largest one."""
    arenas, last = Arenas(DryArena(), DryArena()), Rank(ranks - 1, ranks)
    gradient, losses = np.broadcast_to(network.stack.dtype.type(0), network.layout.size), np.empty(ranks)
    Passes(network, steps, lanes, gradient, losses, last, arenas, folded=folded)
    return arenas.shared.size, arenas.own.size
