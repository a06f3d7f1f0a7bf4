"""Embedding: a row of a table ``E`` ``(V, I)`` for every index.

In front of a recurrent layer the input product is ``W_x·E[index]``, with ``W_x`` the first `I` columns of its matrix
``W`` ``(R, K)``. There are two ways to compute it, and `folds` says which has fewer operations:

- `Lookup` gathers rows of ``E`` into the layer's input, and adds the input's gradient up by index.
- `Folded` makes the table part of the layer: ``W_x·E[index]`` is a column of ``W_x·Eᵀ`` ``(R, V)``, so a gather
  takes the place of the input product. The layer needs no gradient of its input: with ``P`` ``(R, V)`` the gate
  gradients added up by index, ``dW_x = P·E`` and ``dE = Pᵀ·W_x``. It pays for a small vocabulary.

A rank writes the gradient of its rows of ``W``, and of the table the part that flows through them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from ..base.arena import Arenas
from ..base.checks import ArgumentError, check_array, check_count, check_dtype, check_tape, check_unmasked
from ..base.initializers import TorchRandom
from ..base.module import Module
from ..base.parameters import Array, Layout
from ..base.ranks import Pass, Rank
from ..cells.buffers import State, Weights
from ..cells.masks import Masks
from .dropout import draw_kept
from .stack import Stack, StackWorkspace

__all__ = [
    "Embedding",
    "EmbeddingTape",
    "Folded",
    "Lookup",
    "add_by_index",
    "check_indices",
    "folds",
    "largest_not_folded",
    "open_embedding",
]


def check_indices(name: str, indices: Array, vocabulary_size: int, present: Array | None = None) -> None:
    """Raise ArgumentError unless `indices` are whole numbers below `vocabulary_size`, wherever `present` is True."""
    if indices.dtype.kind not in "iu":
        raise ArgumentError(name, "whole numbers", f"{indices.dtype} {indices.shape}")
    counted = indices if present is None else indices[present]
    if counted.size and (counted.min() < 0 or counted.max() >= vocabulary_size):
        raise ArgumentError(
            name, f"indices from 0 to {vocabulary_size - 1}", f"indices from {counted.min()} to {counted.max()}"
        )


def add_by_index(indices: Array, rows: Array, table: Array, scratch: Array) -> None:
    """Add up the `rows` ``(N, I)`` of the same of the `indices` ``(N,)`` into `table` ``(V, I)``, in a fixed order."""
    order = np.argsort(indices, kind="stable")
    by_index = indices[order]
    starts = np.flatnonzero(np.diff(by_index, prepend=-1))
    np.take(rows, order, axis=0, out=scratch, mode="clip")
    table.fill(0)
    table[by_index[starts]] = np.add.reduceat(scratch, starts, axis=0)


class EmbeddingTape(NamedTuple):
    """What `Embedding.forward` leaves for `Embedding.backward`: a copy of the `indices` ``(…)``."""

    indices: Array


class Embedding(Module):
    """A row of a table for every index, as ``torch.nn.Embedding``.

    The parameters are torch's N(0, 1) for the `seed`, a whole number below 2³²; with None it is drawn afresh and kept
    in ``seed``. `dtype` is ``"float32"`` or ``"float64"``. Raises ArgumentError.
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
        _draw: bool = True,
    ) -> None:
        self.num_embeddings = check_count("num_embeddings", num_embeddings)
        self.embedding_dim = check_count("embedding_dim", embedding_dim)
        self.dtype = check_dtype(dtype)
        self.layout = Layout()
        self.layout.add("weight", self.num_embeddings, self.embedding_dim)
        self._fill(seed, _draw)

    def initialise(self, random: TorchRandom) -> None:
        """Draw the table as torch does."""
        self.load_state_dict({"weight": random.normal((self.num_embeddings, self.embedding_dim), self.dtype)})

    def _to_torch(self, views: dict[str, Array]) -> dict[str, Array]:
        return {"weight": views["weight"].copy()}

    def _from_torch(self, views: dict[str, Array], named: Mapping[str, Array]) -> None:
        views["weight"][...] = named["weight"]

    def __call__(self, indices: Array) -> Array:
        """The rows; see `forward`."""
        return self.forward(indices)[0]

    def forward(self, indices: Array) -> tuple[Array, EmbeddingTape]:
        """The rows ``(…, I)`` for `indices` ``(…)`` in ``0…V−1``, and the tape for `backward`. Raises ArgumentError."""
        check_unmasked("indices", indices)
        indices = np.array(indices)
        check_indices("indices", indices, self.num_embeddings)
        return self.layout.views(self.parameters)["weight"][indices], EmbeddingTape(indices)

    def backward(self, tape: EmbeddingTape, d_rows: Array) -> dict[str, Array]:
        """From the gradient `d_rows` ``(…, I)``: the gradient of the table, by name. Raises ArgumentError."""
        check_tape(tape, EmbeddingTape)
        check_array("d_rows", d_rows, (*tape.indices.shape, self.embedding_dim), self.dtype)
        rows = d_rows.reshape(-1, self.embedding_dim)
        table = np.zeros((self.num_embeddings, self.embedding_dim), self.dtype)
        if rows.size:
            add_by_index(tape.indices.reshape(-1), rows, table, np.empty_like(rows))
        return {"weight": table}


class Lookup:
    """Gathers rows for `T·B` indices, and adds up their gradients in a fixed order.

    With `dropout`, a probability, numbers of the rows drop out where the forward pass is given an `rng`.
    """

    def __init__(self, stack: Stack, steps: int, lanes: int, rank: Rank, arenas: Arenas, dropout: float = 0.0) -> None:
        size = stack.sizes[0].input_size
        self.workspace = StackWorkspace(stack, steps, lanes, rank, arenas, input_gradient=True)
        self._share = rank.share(size)
        self._rows = arenas.own.empty((steps * lanes, size), stack.dtype)
        self._rows_by_step = self._rows.reshape(steps, lanes, size).transpose(2, 0, 1)
        self._indices = arenas.own.empty((steps * lanes,), np.dtype(np.intp))
        # What is kept of the rows: each rank draws its share, and needs all for the gradient of the table.
        self._dropout, self._dropping = dropout, False
        self._kept = arenas.shared.empty((steps * lanes, size if dropout else 0), stack.dtype)

    def forward(
        self,
        table: Array,
        weights: list[Weights],
        indices: Array,
        state: list[State],
        masks: Masks | None,
        rng: np.random.Generator | None,
    ) -> Pass[None]:
        """Run the stack over the rows of `table` for `indices` ``(T, B)``."""
        self._indices[...] = indices.reshape(-1)
        if masks is not None and masks.pads:
            self._indices[masks.padding.reshape(-1)] = 0
        np.take(table, self._indices, axis=0, out=self._rows, mode="clip")  # indices are checked at the door
        if masks is not None and masks.pads:
            self._rows[masks.padding.reshape(-1)] = 0
        self._dropping = rng is not None and self._dropout > 0
        if rng is not None and self._dropping:
            rows, kept = self._rows[:, self._share], self._kept[:, self._share]
            draw_kept(rng, self._dropout, kept)
            np.multiply(rows, kept, rows)
        self.workspace.write(self._share, self._rows_by_step[self._share])
        yield from self.workspace.forward(weights, state, masks, rng=rng)

    def weight_gradient(self, d_table: Array, d_weights: list[Weights]) -> None:
        """After the stack's backward pass: write the gradients of its weights and of the table."""
        self.workspace.weight_gradient(d_weights)
        assert self.workspace.d_inputs is not None
        if self._dropping:
            np.multiply(self.workspace.d_inputs, self._kept, self.workspace.d_inputs)
        add_by_index(self._indices, self.workspace.d_inputs, d_table, self._rows)


class Folded:
    """Gives the first layer the columns of ``W_x·Eᵀ`` for its indices instead of inputs; a stack of one direction."""

    def __init__(self, stack: Stack, steps: int, lanes: int, vocabulary_size: int, rank: Rank, arenas: Arenas) -> None:
        self.workspace = StackWorkspace(stack, steps, lanes, rank, arenas, folded=True)
        self._size = stack.sizes[0].input_size
        index = np.dtype(np.intp)
        self._one_hot = arenas.own.empty((vocabulary_size, steps * lanes), stack.dtype)
        self._columns = np.arange(steps * lanes)
        self._indices = arenas.own.empty((steps, lanes), index)
        self._present: Array | None = None  # which steps exist, if some do not

    def forward(
        self,
        table: Array,
        weights: list[Weights],
        indices: Array,
        state: list[State],
        masks: Masks | None,
        rng: np.random.Generator | None,
    ) -> Pass[None]:
        """Run the stack over the rows of `table` for `indices` ``(T, B)``."""
        I, (matrix, *others) = self._size, weights[0]
        self._indices[...] = indices
        self._table = table
        self._weights = self.workspace.kernels[0].buffers.own_rows(matrix[:, :I]).reshape(-1, I)
        first = (matrix[:, I:], *others)
        columns = self._weights @ table.T
        self._present = None
        if masks is not None and masks.pads:
            # The padding takes a column of zeros, so no row of the table has a share in it.
            self._present = masks.present.reshape(-1)
            self._indices[masks.padding] = len(table)
            columns = np.concatenate((columns, np.zeros((len(columns), 1), columns.dtype)), axis=1)
        yield from self.workspace.forward(
            [first, *weights[1:]], state, masks, table=columns, indices=self._indices, rng=rng
        )

    def weight_gradient(self, d_table: Array, d_weights: list[Weights]) -> None:
        """After the stack's backward pass: write the gradients of its weights and of the table."""
        I, (d_matrix, *others) = self._size, d_weights[0]
        self.workspace.weight_gradient([(d_matrix[:, I:], *others), *d_weights[1:]])
        kernel = self.workspace.kernels[0]
        indices, columns, table = self._indices.reshape(-1), self._columns, self._table
        if self._present is not None:
            indices, columns = indices[self._present], columns[self._present]
        self._one_hot.fill(0)
        self._one_hot[indices, columns] = 1
        by_index = kernel.d_inputs_from @ self._one_hot.T
        own, flat = kernel.buffers.own_rows(d_matrix[:, :I]), table.reshape(-1)
        if not math.isfinite(
            np.dot(flat, flat)
        ):  # or so large that it looks so; the rows that no index uses may be anything
            table = np.where(np.any(self._one_hot, axis=1, keepdims=True), table, 0)
        np.copyto(own, (by_index @ table).reshape(own.shape))
        np.matmul(by_index.T, self._weights, d_table)


def folds(stack: Stack, steps: int, lanes: int, vocabulary_size: int) -> bool:
    """Whether folding is the cheaper way for `T` steps of `B` lanes, by the sizes alone.

    It saves three products of `I` by `T·B` and costs one of `V` by `T·B`, the gather, and three of `I` by `V`.
    """
    fits = stack.directions == 1 and vocabulary_size <= 2 * stack.sizes[0].input_size
    return fits and steps * lanes >= 4 * vocabulary_size


def largest_not_folded(lanes: int, vocabulary_size: int) -> tuple[int, int]:
    """Steps and lanes of which each shape of up to so many `lanes` that is too small to fold has no more.

    That is of their product, and of lanes; it may have more steps.
    """
    most = 4 * vocabulary_size - 1
    width = min(lanes, most)
    return -(-most // width), width


def open_embedding(
    stack: Stack,
    steps: int,
    lanes: int,
    vocabulary_size: int,
    rank: Rank,
    arenas: Arenas,
    *,
    folded: bool,
    dropout: float,
) -> Lookup | Folded:
    """The one way or the other; with `dropout` it is not `folded`."""
    if folded:
        return Folded(stack, steps, lanes, vocabulary_size, rank, arenas)
    return Lookup(stack, steps, lanes, rank, arenas, dropout)
