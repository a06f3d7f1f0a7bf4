"""Embedding: a row of a table for every token."""

from __future__ import annotations

import numpy as np

from .parameters import Array

__all__ = ["EmbeddingSequence"]


class EmbeddingSequence:
    """Look up `T·B` tokens in a table ``(V, I)``, and gather the table's gradient.

    The lookup goes straight into the next layer's ``inputs`` ``(I, T, B)``.
    """

    def __init__(self, steps: int, lanes: int, embedding_size: int, dtype: np.dtype) -> None:
        self._rows = np.empty((steps * lanes, embedding_size), dtype)
        self._by_step = self._rows.reshape(steps, lanes, embedding_size).transpose(2, 0, 1)
        self.d_outputs = np.empty((embedding_size, steps * lanes), dtype)
        self._tokens = np.empty(steps * lanes, np.intp)

    def forward(self, table: Array, tokens: Array, out: Array) -> None:
        """Write the rows of `table` ``(V, I)`` for `tokens` ``(T, B)`` into `out` ``(I, T, B)``."""
        self._tokens[...] = tokens.reshape(-1)
        np.take(table, self._tokens, axis=0, out=self._rows, mode="clip")  # tokens are checked at the door
        np.positive(self._by_step, out=out)

    def backward(self, d_table: Array) -> None:
        """Add ``d_outputs`` ``(I, T·B)`` up by token into `d_table` ``(V, I)``, in a fixed order."""
        order = np.argsort(self._tokens, kind="stable")
        by_token = self._tokens[order]
        starts = np.flatnonzero(np.diff(by_token, prepend=-1))
        d_table.fill(0)
        np.take(self.d_outputs.T, order, axis=0, out=self._rows, mode="clip")
        d_table[by_token[starts]] = np.add.reduceat(self._rows, starts, axis=0)
