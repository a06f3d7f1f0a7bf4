"""Embedding in front of a recurrent layer: a row of a table ``E`` ``(V, I)`` for every token.

The layer's input product is ``W_x·E[token]``, with ``W_x`` the first `I` columns of its matrix ``W`` ``(R, K)``.
There are two ways to compute it, and `open_embedding` takes the one with fewer operations:

- `Lookup` gathers rows of ``E`` into the layer's input, and adds the input's gradient up by token.
- `Folded` makes the table part of the layer: ``W_x·E[token]`` is a column of ``W_x·Eᵀ`` ``(R, V)``, so a gather
  takes the place of the input product. The layer needs no gradient of its input: with ``P`` ``(R, V)`` the gate
  gradients added up by token, ``dW_x = P·E`` and ``dE = Pᵀ·W_x``. It pays for a small vocabulary.

A rank writes the gradient of its rows of ``W``, and of the table the part that flows through them.
"""

from __future__ import annotations

import numpy as np

from .lstm import LSTMSequence, LSTMState
from .parameters import Array
from .ranks import Pass, Rank

__all__ = ["Folded", "Lookup", "open_embedding"]


class Lookup:
    """Gathers rows for `T·B` tokens, and adds up their gradients in a fixed order."""

    def __init__(self, steps: int, lanes: int, embedding_size: int, dtype: np.dtype, rank: Rank) -> None:
        self.layer_inputs = embedding_size
        self._share = rank.share(embedding_size)
        self._rows = np.empty((steps * lanes, embedding_size), dtype)
        self._rows_by_step = self._rows.reshape(steps, lanes, embedding_size).transpose(2, 0, 1)
        self._d_inputs = np.empty((embedding_size, steps * lanes), dtype)
        self._tokens = np.empty(steps * lanes, np.intp)

    def forward(self, layer: LSTMSequence, table: Array, matrix: Array, tokens: Array, state: LSTMState) -> Pass[None]:
        """Run `layer`, with parameters `matrix`, over the rows of `table` for `tokens` ``(T, B)``."""
        self._tokens[...] = tokens.reshape(-1)
        np.take(table, self._tokens, axis=0, out=self._rows, mode="clip")  # tokens are checked at the door
        np.copyto(layer.inputs[self._share], self._rows_by_step[self._share])
        yield from layer.forward(matrix, state)

    def backward(self, layer: LSTMSequence, table: Array, matrix: Array, d_table: Array, d_matrix: Array) -> Pass[None]:
        """Run the layer's backward pass; write the gradients of its matrix and of the table."""
        yield from layer.backward(d_matrix)
        layer.backward_inputs(self._d_inputs)
        order = np.argsort(self._tokens, kind="stable")
        by_token = self._tokens[order]
        starts = np.flatnonzero(np.diff(by_token, prepend=-1))
        np.take(self._d_inputs.T, order, axis=0, out=self._rows, mode="clip")
        d_table.fill(0)
        d_table[by_token[starts]] = np.add.reduceat(self._rows, starts, axis=0)


class Folded:
    """Gives the layer the columns of ``W_x·Eᵀ`` for its tokens instead of inputs."""

    layer_inputs = 0

    def __init__(self, steps: int, lanes: int, vocabulary_size: int, embedding_size: int, dtype: np.dtype) -> None:
        self._embedding_size = embedding_size
        self._one_hot = np.empty((vocabulary_size, steps * lanes), dtype)
        self._columns = np.arange(steps * lanes)
        self._tokens = np.empty((steps, lanes), np.intp)

    def forward(self, layer: LSTMSequence, table: Array, matrix: Array, tokens: Array, state: LSTMState) -> Pass[None]:
        """Run `layer`, with parameters `matrix`, over the rows of `table` for `tokens` ``(T, B)``."""
        I = self._embedding_size
        self._tokens[...] = tokens
        self._weights = layer.own_rows(matrix[:, :I]).reshape(-1, I)
        yield from layer.forward(matrix[:, I:], state, self._weights @ table.T, self._tokens)

    def backward(self, layer: LSTMSequence, table: Array, matrix: Array, d_table: Array, d_matrix: Array) -> Pass[None]:
        """Run the layer's backward pass; write the gradients of its matrix and of the table."""
        I = self._embedding_size
        yield from layer.backward(d_matrix[:, I:])
        self._one_hot.fill(0)
        self._one_hot[self._tokens.reshape(-1), self._columns] = 1
        by_token = layer.d_gates @ self._one_hot.T
        own = layer.own_rows(d_matrix[:, :I])
        np.copyto(own, (by_token @ table).reshape(own.shape))
        np.matmul(by_token.T, self._weights, d_table)


def open_embedding(
    steps: int, lanes: int, vocabulary_size: int, embedding_size: int, dtype: np.dtype, rank: Rank
) -> Lookup | Folded:
    """The cheaper way for `T` steps of `B` lanes, by the sizes alone.

    Folding saves three products of `I` by `T·B` and costs one of `V` by `T·B`, the gather, and three of `I` by `V`.
    """
    if vocabulary_size <= 2 * embedding_size and steps * lanes >= 4 * vocabulary_size:
        return Folded(steps, lanes, vocabulary_size, embedding_size, dtype)
    return Lookup(steps, lanes, embedding_size, dtype, rank)
