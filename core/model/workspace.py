"""A batch in flight through a sequence model: its buffers, and the forward and backward passes over them."""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena, Arenas
from ..base.parameters import Array
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from ..layers import linear
from ..layers.embedding import open_embedding
from ..layers.stack import StackWorkspace
from .batch import SequenceBatch
from .network import Network

__all__ = ["Workspace"]


class Workspace:
    """All scratch of one batch in flight, `T` steps of `B` lanes, for one rank. Made once, reused.

    `gradient` ``(size,)`` is the vector that the backward pass writes: the whole gradient is the sum over the
    ranks. What the ranks share comes from `arena`.
    """

    def __init__(self, network: Network, steps: int, lanes: int, gradient: Array, rank: Rank, arena: Arena) -> None:
        stack, dtype = network.stack, network.stack.dtype
        self._network = network
        self._embedding = None
        arenas = Arenas(arena, Arena())
        if network.vocabulary_size is None:
            self._stack = StackWorkspace(stack, steps, lanes, rank, arenas)
        else:
            self._embedding = open_embedding(stack, steps, lanes, network.vocabulary_size, rank, arenas)
            self._stack = self._embedding.workspace
        self._inputs = rank.share(stack.sizes[0].input_size)
        # One output a sequence: the features that the head takes, under a row of ones, and their gradient.
        pooled = 0 if network.output == "steps" else stack.output_size
        self._one_and_pooled = arena.zeros((1 + pooled, lanes), dtype)
        self._one_and_pooled[0] = 1
        self._d_pooled = arena.zeros((pooled, lanes), dtype)
        self._counts = np.full(lanes, steps, dtype)
        self._columns = rank.share(lanes * (steps if network.output == "steps" else 1))
        self._loss = network.loss.kernel(network.output_size, self._columns.stop - self._columns.start, dtype)
        self._losses = arena.zeros((rank.count,), np.dtype(np.float64))
        self._rank = rank
        gradient.fill(0)
        self.gradient = gradient
        self._d_views = network.layout.views(gradient)
        self._d_weights = stack.weights(self._d_views, "rnn.")
        self._views: dict[str, Array] = {}

    def outputs(
        self, parameters: Array, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[Array]:
        """The outputs ``(F, columns)`` for the inputs of `batch`, of this rank's columns. Moves `state` on."""
        network, masks = self._network, self._network.masks(batch)
        self._views = views = network.layout.views(parameters)
        weights = network.stack.weights(views, "rnn.")
        if self._embedding is not None:
            yield from self._embedding.forward(views["embedding.weight"], weights, batch.inputs, state, masks, rng)
        else:
            inputs = batch.inputs[:, :, self._inputs]
            if masks is not None:
                inputs = np.where(masks.padding[:, :, None], 0, inputs)
            self._stack.write(self._inputs, inputs.transpose(2, 0, 1))
            yield from self._stack.forward(weights, state, masks, rng=rng)
        if network.output != "steps":
            if masks is not None:
                self._counts[...] = np.maximum(masks.present.sum(axis=0), 1)
            else:
                self._counts.fill(len(batch.inputs))
            self._pool()
            yield
        linear.forward(views["head.matrix"], self._head_inputs(), self._loss.outputs)
        return self._loss.outputs

    def _head_inputs(self) -> Array:
        whole = self._stack.one_and_outputs if self._network.output == "steps" else self._one_and_pooled
        return whole[:, self._columns]

    def _pool(self) -> None:
        """The last state of each direction, or the mean of its outputs."""
        for direction, kernel in enumerate(self._stack.layers[-1]):
            rows, values = self._stack.outputs(-1, direction)
            own = self._one_and_pooled[1:][rows]
            if self._network.output == "last":
                np.copyto(own, kernel.last[0])
            else:
                np.divide(values.sum(axis=1), self._counts, out=own)

    def forward(
        self, parameters: Array, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[float]:
        """The summed loss of `batch`, of all ranks. Moves `state` on; with `rng` outputs drop out between layers."""
        yield from self.outputs(parameters, batch, state, rng)
        network, columns = self._network, self._columns
        counted = network.counted(batch)
        by_column = batch.targets.reshape(-1, *batch.targets.shape[2:])[columns].T
        mask = None if counted is None else counted.reshape(-1)[columns]
        self._losses[self._rank.index] = self._loss.forward(by_column, mask)
        yield
        return float(sum(self._losses))

    def backward(self, scale: float) -> Pass[None]:
        """After `forward`: carry the gradient of `scale` times the summed loss back to the first step."""
        for kernel in self._stack.kernels:
            for gradient in kernel.d_state:
                gradient.fill(0)
        steps = self._network.output == "steps"
        d_inputs = (self._stack.d_outputs if steps else self._d_pooled)[:, self._columns]
        linear.backward(self._views["head.matrix"], self._loss.backward(scale), d_inputs)
        yield
        if not steps:
            self._pool_backward()
        yield from self._stack.backward()

    def weight_gradient(self) -> Pass[None]:
        """After `backward`: write this rank's part of the gradient of the parameters."""
        linear.weight_gradient(self._loss.outputs, self._head_inputs(), self._d_views["head.matrix"])
        if self._embedding is not None:
            self._embedding.weight_gradient(self._d_views["embedding.weight"], self._d_weights)
        else:
            self._stack.weight_gradient(self._d_weights)
        yield  # the gradient is complete when all ranks have come here

    def _pool_backward(self) -> None:
        for direction, kernel in enumerate(self._stack.layers[-1]):
            rows, values = self._stack.outputs(-1, direction)
            if self._network.output == "last":
                np.copyto(kernel.d_state[0], self._d_pooled[rows])
            else:
                by_step = self._stack.d_outputs[rows].reshape(values.shape)
                np.copyto(by_step, (self._d_pooled[rows] / self._counts)[:, None])
