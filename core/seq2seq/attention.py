"""Attention: each output of the decoder beside what it looks up in those of the encoder.

With the scores ``e_t`` of a step of the target, over the steps of the source that exist::

    a = softmax(e)         c = Σ_t a_t·m_t         h = tanh(W·[1; c; q])

``m`` ``(M,)`` are the encoder's outputs, ``q`` ``(P,)`` is the decoder's, ``c`` the context, and ``h`` ``(P,)`` takes
the place of ``q`` before the head. A source without steps has a context of zeros.

Source: Luong, Pham and Manning, "Effective approaches to attention-based neural machine translation" (2015).
"""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena
from ..base.columns import copy_matrix
from ..base.parameters import Array
from ..base.product import multiply
from ..layers import linear
from .scores import Score, Sizes, by_lane

__all__ = ["Attention"]

COMBINE = "combine.matrix"


class Attention:
    """The passes of attention over one batch, and its buffers.

    After `forward` ``one_and_values`` ``(1+P, S·B)`` are the values ``h`` under a row of ones, and ``weights``
    ``(B, S, T)`` what each of them has looked at. Before `backward` their gradient is written to ``d_values``. Both go
    over all steps of the target, or over some at a time.
    """

    def __init__(self, score: Score, sizes: Sizes, dtype: np.dtype, arena: Arena) -> None:
        T, S, B, M, P = sizes
        self._score = score.open(sizes, dtype, arena)
        self._memory, self._d_memory = arena.empty((T, B, M), dtype), arena.empty((T, B, M), dtype)
        self._queries, self._d_queries = arena.empty((S, B, P), dtype), arena.empty((S, B, P), dtype)
        self._context, self._d_context = arena.empty((S, B, M), dtype), arena.empty((S, B, M), dtype)
        self.weights, self._d_scores = arena.empty((B, S, T), dtype), arena.empty((B, S, T), dtype)
        self._one_and_both = arena.empty((1 + M + P, S * B), dtype)
        arena.keep(self._one_and_both[0], 1)
        self._d_both = arena.empty((M + P, S * B), dtype)
        self.one_and_values, self.d_values = arena.empty((1 + P, S * B), dtype), arena.empty((P, S * B), dtype)
        arena.keep(self.one_and_values[0], 1)
        self._absent: Array | None = None  # which steps of the source do not exist, if some do not

    def read(self, views: dict[str, Array], memory: Array, padding: Array | None) -> None:
        """Take the encoder's outputs ``(M, T·B)``, and where their steps do not exist ``(T, B)``."""
        copy_matrix(memory, _rows(self._memory).T)
        self._absent = None if padding is None else padding.T[:, None]
        self._score.read(views, self._memory)

    def forward(self, views: dict[str, Array], queries: Array, steps: slice) -> None:
        """After `read`: look up what the decoder's outputs ``(P, n·B)`` at these `steps` of the target want."""
        weights, M, columns = self.weights[:, steps], self._memory.shape[2], self._columns(steps)
        one_and_both, context = self._one_and_both[:, columns], self._context[steps]
        copy_matrix(queries, _rows(self._queries[steps]).T)
        self._score.forward(views, self._queries, self.weights, steps)
        if self._absent is not None:
            np.copyto(weights, -np.inf, where=self._absent)
        # Not below the least number: a lane without steps would become nan.
        least = np.finfo(weights.dtype).min
        np.subtract(weights, np.maximum(weights.max(axis=2, keepdims=True), least), out=weights)
        np.exp(weights, out=weights)
        sums = weights.sum(axis=2, keepdims=True)
        np.divide(weights, np.where(sums == 0, 1, sums), out=weights)
        np.matmul(weights, by_lane(self._memory), out=by_lane(context))
        copy_matrix(_rows(context).T, one_and_both[1 : 1 + M])
        np.copyto(one_and_both[1 + M :], queries)
        values = self.one_and_values[1:, columns]
        linear.forward(views[COMBINE], one_and_both, values)
        np.tanh(values, out=values)

    def start_backward(self) -> None:
        """After `forward`, and before `backward`."""
        self._score.start_backward()

    def backward(self, views: dict[str, Array], d_queries: Array, steps: slice) -> None:
        """Write the gradient of the decoder's outputs ``(P, n·B)`` at these `steps`."""
        weights, d_scores, M = self.weights[:, steps], self._d_scores[:, steps], self._memory.shape[2]
        columns, d_context = self._columns(steps), self._d_context[steps]
        values, d_values, d_both = (
            array[:, columns] for array in (self.one_and_values[1:], self.d_values, self._d_both)
        )
        slopes = d_both[M:]
        np.multiply(values, values, out=slopes)
        np.subtract(1, slopes, out=slopes)
        np.multiply(d_values, slopes, out=d_values)
        multiply(views[COMBINE][:, 1:].T, d_values, d_both)
        copy_matrix(d_both[:M], _rows(d_context).T)
        np.matmul(by_lane(d_context), by_lane(self._memory).transpose(0, 2, 1), out=d_scores)
        np.subtract(d_scores, np.einsum("bst,bst->bs", d_scores, weights)[:, :, None], out=d_scores)
        np.multiply(d_scores, weights, out=d_scores)
        self._score.backward(views, self._d_scores, self._d_queries, steps)
        np.add(d_both[M:], _rows(self._d_queries[steps]).T, out=d_queries)

    def finish_backward(self, views: dict[str, Array], d_memory: Array) -> None:
        """After `backward` of all steps: write the gradient of the encoder's outputs ``(M, T·B)``."""
        np.matmul(self.weights.transpose(0, 2, 1), by_lane(self._d_context), out=by_lane(self._d_memory))
        self._score.finish_backward(views, self._d_scores, self._d_memory)
        copy_matrix(_rows(self._d_memory).T, d_memory)

    def weight_gradient(self, d_views: dict[str, Array]) -> None:
        """After `backward`: write the gradient of the parameters."""
        linear.weight_gradient(self.d_values, self._one_and_both, d_views[COMBINE])
        self._score.weight_gradient(d_views)

    def _columns(self, steps: slice) -> slice:
        lanes = self._memory.shape[1]
        return slice(steps.start * lanes, steps.stop * lanes)


def _rows(array: Array) -> Array:
    """A view ``(T·B, F)`` of ``(T, B, F)``."""
    return array.reshape(-1, array.shape[2])
