"""The decoder of a batch, with teacher forcing: what it reads at each step of the target is known beforehand.

So the recurrence runs over all steps, and then attention looks all of them up at once: `Decoder`. With *input feeding*
a step reads what the one before has looked up as well, and so they go one by one: `FedDecoder`.

Source of input feeding: Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation"
(2015).
"""

from __future__ import annotations

from itertools import chain
from typing import Protocol

import numpy as np

from ..base.arena import Arenas
from ..base.parameters import Array, Layout
from ..base.ranks import Pass, Rank
from ..cells.buffers import State, Weights
from ..layers.embedding import Lookup, add_by_index
from ..layers.stack import Stack, StackWorkspace
from .attention import Attention
from .network import Blocks

__all__ = ["Decoder", "DecoderPasses", "FedDecoder"]

TABLE = "decoder.embedding.weight"


class DecoderPasses(Protocol):
    """The passes of a decoder over one batch of `S` target steps of `B` lanes.

    After `forward` ``one_and_values`` ``(1+P, S·B)`` is what the head takes; before `backward` its gradient is in
    ``d_values``, and after it ``d_begins`` is that of the state that the decoder began with.
    """

    @property
    def one_and_values(self) -> Array:
        """See the class."""
        ...

    @property
    def d_values(self) -> Array:
        """See the class."""
        ...

    @property
    def d_begins(self) -> list[State]:
        """See the class."""
        ...

    def forward(self, blocks: Blocks, before: Array, state: list[State], rng: np.random.Generator | None) -> Pass[None]:
        """Run over the symbols `before` ``(S, B)`` from `state`, which moves on."""
        ...

    def backward(self, views: dict[str, Array]) -> Pass[None]:
        """After `forward`: carry the gradient of the values back. That of what attention has read is not done."""
        ...

    def weight_gradient(self, d_blocks: Blocks) -> None:
        """After `backward`: write the gradient of the embedding and the stack."""
        ...


class Decoder:
    """A `DecoderPasses`: all steps at once, with `attention`, which has read, or without."""

    def __init__(self, stack: Stack, steps: int, lanes: int, attention: Attention | None, arenas: Arenas) -> None:
        self._lookup, self._attention = Lookup(stack, steps, lanes, Rank(), arenas), attention
        self._workspace = workspace = self._lookup.workspace
        self._all = slice(0, steps)
        self.one_and_values = workspace.one_and_outputs if attention is None else attention.one_and_values
        self.d_values = workspace.d_outputs if attention is None else attention.d_values
        self.d_begins = [loop.d_state for loop in workspace.kernels]

    def forward(self, blocks: Blocks, before: Array, state: list[State], rng: np.random.Generator | None) -> Pass[None]:
        """See `DecoderPasses`."""
        yield from self._lookup.forward(blocks.views[TABLE], blocks.decoder, before, state, None, rng)
        if self._attention is not None:
            self._attention.forward(blocks.views, self._workspace.one_and_outputs[1:], self._all)

    def backward(self, views: dict[str, Array]) -> Pass[None]:
        """See `DecoderPasses`."""
        if self._attention is not None:
            self._attention.backward(views, self._workspace.d_outputs, self._all)
        for gradient in chain(*self.d_begins):
            gradient.fill(0)
        yield from self._workspace.backward()

    def weight_gradient(self, d_blocks: Blocks) -> None:
        """See `DecoderPasses`."""
        self._lookup.weight_gradient(d_blocks.views[TABLE], d_blocks.decoder)


class FedDecoder:
    """A `DecoderPasses`: step by step, each of which reads its symbol and the values of the step before.

    The buffers of the stack are those of one step, and each step is run again before its backward pass: what is kept of
    it is what it has read, and the state before it.
    """

    def __init__(self, stack: Stack, steps: int, lanes: int, attention: Attention, arenas: Arenas) -> None:
        own, dtype, inputs = arenas.own, stack.dtype, stack.sizes[0].input_size
        self._attention, self._embedding, self._lanes = attention, inputs - stack.output_size, lanes
        self._workspace = StackWorkspace(stack, 1, lanes, Rank(), arenas, input_gradient=True)
        self._inputs = own.empty((steps, inputs, 1, lanes), dtype)
        sizes = [stack.cell.state_sizes(size) for size in stack.sizes]
        self._states: list[State] = [tuple(own.empty((steps, units, lanes), dtype) for units in part) for part in sizes]
        self._again: list[State] = [tuple(own.empty((units, lanes), dtype) for units in part) for part in sizes]
        self._indices = own.empty((steps, lanes), np.dtype(np.intp))
        self._d_rows, self._rows = (own.empty((steps * lanes, self._embedding), dtype) for _ in range(2))
        # The gradient of the stack's parameters, of all steps and of one.
        layout = Layout()
        stack.add_to(layout)
        self._total, self._part = (own.empty((layout.size,), dtype) for _ in range(2))
        self._d_total, self._d_part = (stack.weights(layout.views(flat)) for flat in (self._total, self._part))
        self._draws: list[dict[str, object]] = []  # where the generator stood before each step
        self._rng: np.random.Generator | None = None
        self._weights: list[Weights] = []
        self.one_and_values, self.d_values = attention.one_and_values, attention.d_values
        self.d_begins = [loop.d_state for loop in self._workspace.kernels]

    def _columns(self, step: int) -> slice:
        return slice(step * self._lanes, (step + 1) * self._lanes)

    def forward(self, blocks: Blocks, before: Array, state: list[State], rng: np.random.Generator | None) -> Pass[None]:
        """See `DecoderPasses`."""
        table, E = blocks.views[TABLE], self._embedding
        self._weights, self._rng, self._draws = blocks.decoder, rng, []
        self._indices[...] = before
        self._inputs[0, E:] = 0
        for step, indices in enumerate(before):
            self._inputs[step, :E, 0] = table[indices].T
            if step:
                self._inputs[step, E:, 0] = self.one_and_values[1:, self._columns(step - 1)]
            for kept, array in zip(chain(*self._states), chain(*state), strict=True):
                np.copyto(kept[step], array)
            if rng is not None:
                self._draws.append(dict(rng.bit_generator.state))
            yield from self._run(step, state, rng)
            self._attention.forward(blocks.views, self._workspace.one_and_outputs[1:], slice(step, step + 1))

    def _run(self, step: int, state: list[State], rng: np.random.Generator | None) -> Pass[None]:
        self._workspace.write(slice(0, self._inputs.shape[1]), self._inputs[step])
        yield from self._workspace.forward(self._weights, state, rng=rng)

    def backward(self, views: dict[str, Array]) -> Pass[None]:
        """See `DecoderPasses`."""
        workspace, E = self._workspace, self._embedding
        assert workspace.d_inputs is not None
        for gradient in (*chain(*self.d_begins), self._total):
            gradient.fill(0)
        for step in range(len(self._inputs) - 1, -1, -1):
            for kept, array in zip(chain(*self._states), chain(*self._again), strict=True):
                np.copyto(array, kept[step])
            if self._rng is not None:
                self._rng.bit_generator.state = self._draws[step]
            yield from self._run(step, self._again, self._rng)
            self._attention.backward(views, workspace.d_outputs, slice(step, step + 1))
            yield from workspace.backward()  # the gradient of the state goes on from step to step in its place
            workspace.weight_gradient(self._d_part)
            self._total += self._part
            self._d_rows[self._columns(step)] = workspace.d_inputs[:, :E]
            if step:
                self.d_values[:, self._columns(step - 1)] += workspace.d_inputs[:, E:].T

    def weight_gradient(self, d_blocks: Blocks) -> None:
        """See `DecoderPasses`."""
        for into, found in zip(chain(*d_blocks.decoder), chain(*self._d_total), strict=True):
            np.copyto(into, found)
        add_by_index(self._indices.reshape(-1), self._d_rows, d_blocks.views[TABLE], self._rows)
