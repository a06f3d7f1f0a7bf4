"""The passes over the batches of one shape: source → encoder → bridge → decoder → attention? → head."""

from __future__ import annotations

from itertools import chain

import numpy as np

from ..base.arena import Arenas, DryArena
from ..base.parameters import Array
from ..base.product import multiply
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from ..layers import linear
from ..layers.embedding import Lookup
from ..model.batch import SequenceBatch
from .attention import Attention
from .bridge import Bridge
from .decoder import Decoder, DecoderPasses, FedDecoder
from .network import Blocks, EncoderDecoderNetwork
from .scores import Sizes

__all__ = ["Passes", "room"]

HEAD = "head.matrix"


class Passes:
    """The buffers of one batch of `T` source steps and `S` target steps of `B` lanes, and what is computed in them.

    `gradient` ``(size,)`` is the vector that the backward pass writes; the loss goes into `losses` ``(1,)``.
    ``attention`` is that of the model, None where it has none.
    """

    def __init__(
        self,
        network: EncoderDecoderNetwork,
        shape: tuple[int, ...],
        gradient: Array,
        losses: Array,
        arenas: Arenas,
    ) -> None:
        self.shape, self.arenas = shape, arenas
        self._network, self._losses = network, losses
        (T, S, B), rank = shape, Rank()
        dtype, score = network.decoder.dtype, network.score
        self._encoder = Lookup(network.encoder, T, B, rank, arenas)
        self._state = network.encoder.initial_state(B, rank, arenas.own)
        self._bridge = Bridge(network.encoder, B, arenas.own)
        sizes = Sizes(T, S, B, network.encoder.output_size, network.decoder.output_size)
        self.attention = attention = None if score is None else Attention(score, sizes, dtype, arenas.own)
        self._decoder: DecoderPasses
        if attention is None:
            arenas.shared.keep(self._encoder.workspace.d_outputs, 0)  # its gradient comes by the state alone
        if attention is None or not network.feeds:
            self._decoder = Decoder(network.decoder, S, B, attention, arenas)
        else:
            self._decoder = FedDecoder(network.decoder, S, B, attention, arenas)
        self._kernel = network.loss.kernel(network.target_size, S * B, dtype, arenas.own)
        self._d_blocks = network.blocks(gradient)
        self._views: dict[str, Array] = {}  # of the parameters in use

    def outputs(self, blocks: Blocks, batch: SequenceBatch, rng: np.random.Generator | None = None) -> Pass[Array]:
        """The outputs ``(V, S·B)`` for the sources of `batch`, and for its targets up to each step."""
        network, (T, _, B) = self._network, self.shape
        views, encoder, _ = blocks
        self._views = views
        for array in chain(*self._state):
            array.fill(0)
        masks, state = network.masks(T, B, batch.lengths), self._state
        yield from self._encoder.forward(views["encoder.embedding.weight"], encoder, batch.inputs, state, masks, rng)
        if self.attention is not None:
            memory = self._encoder.workspace.one_and_outputs[1:]
            self.attention.read(views, memory, None if masks is None else masks.padding)
        before, state = network.before(batch.targets), self._bridge.forward(views, state)
        yield from self._decoder.forward(blocks, before, state, rng)
        linear.forward(views[HEAD], self._decoder.one_and_values, self._kernel.outputs)
        return self._kernel.outputs

    def forward(
        self, blocks: Blocks, batch: SequenceBatch, state: list[State], rng: np.random.Generator | None = None
    ) -> Pass[float]:
        """See `recurrio.core.model.workspace.Workspace`; there is nothing in `state`."""
        yield from self.outputs(blocks, batch, rng)
        self._losses[0] = self._kernel.forward(batch.targets.reshape(-1))
        return float(self._losses[0])

    def backward(self, scale: float) -> Pass[None]:
        """See `recurrio.core.model.workspace.Workspace`."""
        encoder, attention, views = self._encoder.workspace, self.attention, self._views
        self._kernel.backward(scale)
        multiply(views[HEAD][:, 1:].T, self._kernel.outputs, self._decoder.d_values)
        if attention is not None:
            attention.start_backward()
        yield from self._decoder.backward(views)
        if attention is not None:
            attention.finish_backward(views, encoder.d_outputs)
        self._bridge.backward(views, self._decoder.d_begins, [loop.d_state for loop in encoder.kernels])
        yield from encoder.backward()

    def weight_gradient(self) -> Pass[None]:
        """See `recurrio.core.model.workspace.Workspace`."""
        views, encoder, _ = self._d_blocks
        linear.weight_gradient(self._kernel.outputs, self._decoder.one_and_values, views[HEAD])
        if self.attention is not None:
            self.attention.weight_gradient(views)
        self._bridge.weight_gradient(views)
        self._encoder.weight_gradient(views["encoder.embedding.weight"], encoder)
        self._decoder.weight_gradient(self._d_blocks)
        yield


def room(network: EncoderDecoderNetwork, steps: int, lanes: int) -> tuple[int, int]:
    """The bytes that any batch of up to so many `steps` and `lanes` needs; see `Trainable`."""
    arenas = Arenas(DryArena(), DryArena())
    gradient = np.broadcast_to(network.decoder.dtype.type(0), network.layout.size)
    Passes(network, network.largest(steps, lanes), gradient, np.empty(1), arenas)
    return arenas.shared.size, arenas.own.size
