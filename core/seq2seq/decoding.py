"""What an encoder–decoder writes: symbol by symbol, the likeliest one each time, or the likeliest of several targets.

A *hypothesis* is what has been written so far. A greedy search has one for each lane, which takes the likeliest symbol.
A beam search of a `width` W has up to W: of all their continuations the W likeliest go on, and those with the end
symbol are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..base.arena import Arena, Arenas
from ..base.blas import one_blas_thread
from ..base.checks import check_count, check_number
from ..base.parameters import Array
from ..base.ranks import Rank, lockstep
from ..cells.buffers import State
from ..layers.embedding import Lookup
from .attention import Attention
from .bridge import Bridge
from .encoder_decoder import EncoderDecoder
from .scores import Sizes

__all__ = ["Hypothesis", "beam", "greedy"]


class Hypothesis(NamedTuple):
    """The ``symbols`` that were written, without the end symbol, and whether it has come, or the limit before.

    ``score`` is the logarithm of the probability of all of it, divided by the number of symbols, and the end, to the
    power of the length penalty.
    """

    symbols: list[int]
    score: float
    ended: bool


def greedy(model: EncoderDecoder, inputs: Array, lengths: Array | None = None, *, limit: int = 100) -> list[Hypothesis]:
    """For each lane of the sources `inputs` ``(T, B)``, of `lengths` ``(B,)``, the likeliest symbol at each step.

    No more than `limit` symbols are written, the end among them; the scores have a length penalty of 0. Raises
    ArgumentError, and FloatingPointError where the model's outputs are not finite.
    """
    limit = check_count("limit", limit)
    writer = _Writer(model, inputs, lengths, 1)
    lanes = np.arange(inputs.shape[1])
    scores, lasts, written = np.zeros(len(lanes)), np.full(len(lanes), limit), list[Array]()
    symbols = np.full(len(lanes), model.start)
    for step in range(limit):
        (chances,) = writer.step(symbols).transpose(1, 2, 0)
        symbols = chances.argmax(axis=1)
        goes_on = lasts == limit
        scores += np.where(goes_on, chances[lanes, symbols], 0)
        written.append(symbols)
        lasts[goes_on & (symbols == model.end)] = step
        if not (lasts == limit).any():
            break
    found = np.array(written).T.tolist()
    return [
        Hypothesis(found[lane][:last], score, last < limit)
        for lane, (last, score) in enumerate(zip(lasts.tolist(), scores.tolist(), strict=True))
    ]


def beam(
    model: EncoderDecoder,
    inputs: Array,
    lengths: Array | None = None,
    *,
    width: int = 5,
    limit: int = 100,
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """For each lane of the sources `inputs` ``(T, B)``, of `lengths` ``(B,)``, up to `width` targets, the best first.

    A lane is done when none of its hypotheses can come among the best any more, or after `limit` symbols, the end among
    them; those that have not ended then are kept as they are. With a `length_penalty` of 0 the most probable target is
    the best, which is often a short one; with 1 it is that with the best mean of its symbols. A `width` of 1 is a
    greedy search.

    Raises ArgumentError, and FloatingPointError where the model's outputs are not finite.
    """
    width, limit = check_count("width", width), check_count("limit", limit)
    length_penalty = check_number("length_penalty", length_penalty, 0)
    writer, B = _Writer(model, inputs, lengths, width), inputs.shape[1]
    tree, found = _Tree(model.end), [_Best(width) for _ in range(B)]
    symbols, scores = np.full((width, B), model.start), np.full((width, B), -np.inf)
    scores[0] = 0  # the other places are empty
    for step in range(limit):
        chances = writer.step(symbols.reshape(-1)) + scores
        parents, symbols, scores = _likeliest(chances, width)
        tree.grow(parents, symbols)
        divisor = (step + 1) ** length_penalty
        ends = (symbols == model.end) | (step + 1 == limit)
        for place, lane in np.argwhere(ends & (scores > -np.inf)).tolist():
            found[lane].take(tree.hypothesis(place, lane, scores[place, lane] / divisor))
        scores[ends] = -np.inf
        # What goes on has its highest score yet where it is as long as can be.
        for lane, most in enumerate((scores.max(axis=0) / limit**length_penalty).tolist()):
            if most <= found[lane].least:
                scores[:, lane] = -np.inf
        if not np.isfinite(scores).any():
            break
        writer.choose(parents)
    return [best.hypotheses for best in found]


def _likeliest(chances: Array, width: int) -> tuple[Array, Array, Array]:
    """Of the `chances` ``(V, W, B)`` the best of each lane: their places, their symbols and scores, each ``(W, B)``."""
    V, _, B = chances.shape
    flat, lanes = np.ascontiguousarray(chances.transpose(2, 1, 0)).reshape(B, -1), np.arange(B)
    chosen, scores = np.empty((width, B), np.int64), np.empty((width, B))
    for place in range(width):
        chosen[place] = flat.argmax(axis=1)
        scores[place] = flat[lanes, chosen[place]]
        flat[lanes, chosen[place]] = -np.inf
    return chosen // V, chosen % V, scores


class _Tree:
    """The symbols of all hypotheses, and which of the step before each one comes from."""

    def __init__(self, end: int) -> None:
        self._end = end
        self._steps: list[tuple[Array, Array]] = []

    def grow(self, parents: Array, symbols: Array) -> None:
        """Add a step."""
        self._steps.append((parents, symbols))

    def hypothesis(self, place: int, lane: int, score: float) -> Hypothesis:
        """The one in this place after the last step."""
        found = []
        for parents, symbols in reversed(self._steps):
            found.append(int(symbols[place, lane]))
            place = int(parents[place, lane])
        ended = found[0] == self._end
        return Hypothesis(found[:0:-1] if ended else found[::-1], float(score), ended)


class _Best:
    """The best ``hypotheses`` of a lane, no more than `width`; of equal ones those that came first."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.hypotheses: list[Hypothesis] = []

    def take(self, hypothesis: Hypothesis) -> None:
        """Put it in its place."""
        self.hypotheses.append(hypothesis)
        self.hypotheses.sort(key=lambda each: -each.score)
        del self.hypotheses[self._width :]

    @property
    def least(self) -> float:
        """What another one has to be better than."""
        return self.hypotheses[-1].score if len(self.hypotheses) == self._width else -np.inf


class _Writer:
    """The sources, which are read, and the decoder behind them, for `width` hypotheses of each lane.

    These are as many steps of the target to attention, which does not mind their order.
    """

    def __init__(self, model: EncoderDecoder, inputs: Array, lengths: Array | None, width: int) -> None:
        network = self._network = model.network
        network.check_inputs(inputs, lengths)
        (T, B), dtype = inputs.shape, model.dtype
        self._shape = (width, B)
        self._blocks = views, encoder, _ = network.blocks(model.parameters)
        masks, state = network.masks(T, B, lengths), network.encoder.initial_state(B)
        reader = Lookup(network.encoder, T, B, Rank(), Arenas(Arena(), Arena()))
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            lockstep([reader.forward(views["encoder.embedding.weight"], encoder, inputs, state, masks, None)])
            self._attention: Attention | None = None
            if network.score is not None:
                sizes = Sizes(T, width, B, network.encoder.output_size, network.decoder.output_size)
                self._attention = Attention(network.score, sizes, dtype, Arena())
                memory = reader.workspace.one_and_outputs[1:]
                self._attention.read(views, memory, None if masks is None else masks.padding)
            state = Bridge(network.encoder, B, Arena()).forward(views, state)
        self._width, self._fed = slice(0, width), np.zeros((network.decoder.output_size, width * B), dtype)
        self._state: list[State] = [tuple(np.tile(part, (1, width)) for part in parts) for parts in state]

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, symbols: Array) -> Array:
        """The logarithms of the probabilities ``(V, W, B)`` of what comes after the last `symbols` ``(W·B,)``."""
        network, (views, _, decoder) = self._network, self._blocks
        with one_blas_thread():
            columns = views["decoder.embedding.weight"][symbols].T
            if network.feeds:
                columns = np.concatenate((columns, self._fed))
            values = network.decoder.step(decoder, columns, self._state)
            if self._attention is not None:
                self._attention.forward(views, values, self._width)
                self._fed = values = self._attention.one_and_values[1:]
            head = views["head.matrix"]
            outputs = (head[:, 1:] @ values + head[:, :1]).astype(np.float64)
        if not np.isfinite(outputs).all():
            raise FloatingPointError("the model's outputs are not finite; nothing can be written with it")
        outputs -= outputs.max(axis=0)
        outputs -= np.log(np.exp(outputs).sum(axis=0))
        return outputs.reshape(-1, *self._shape)

    def choose(self, parents: Array) -> None:
        """Go on from the hypotheses at these places ``(W, B)``."""
        columns = (parents * self._shape[1] + np.arange(self._shape[1])).reshape(-1)
        self._state = [tuple(part[:, columns] for part in parts) for parts in self._state]
        self._fed = self._fed[:, columns]
