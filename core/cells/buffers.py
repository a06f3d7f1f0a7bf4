"""What all cells share: the size of a layer, its buffers, and its way to torch's names.

The buffers are those of one layer in one direction. Their arrays are feature-major: a step of the recurrence is
``W·[x; 1; 1; h]`` with ``x`` ``(I, B)`` and ``h`` ``(P, B)``, and the steps stand side by side in one buffer, so that
the gradient of the weights is one product over all of them. The two rows of ones meet torch's two biases.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..base.arena import Arenas
from ..base.columns import bind_copy
from ..base.compiled import Call
from ..base.parameters import Array
from ..base.ranks import Rank
from .masks import Masks

__all__ = [
    "Buffers",
    "LayerSize",
    "State",
    "Weights",
    "add_parts",
    "from_torch",
    "matrix_columns",
    "row_items",
    "sweep_room",
    "sweeps",
    "to_torch",
]

CACHE_BYTES = 1 << 21  # what one sweep over the derivative factors may touch: measured, and flat around it

State = tuple[Array, ...]  # what is carried from step to step, each (units, B); the hidden state is the first
Weights = tuple[Array, ...]  # the parameters of a layer: its matrix, and what else it has


class LayerSize(NamedTuple):
    """The size of one layer in one direction. With `proj_size` P > 0 the hidden state has P units instead of H."""

    input_size: int
    hidden_size: int
    proj_size: int = 0
    bias: bool = True

    @property
    def output_size(self) -> int:
        """P, the units of the hidden state, which is the output."""
        return self.proj_size or self.hidden_size


def matrix_columns(size: LayerSize) -> int:
    """The columns of a parameter matrix: ``[weight_ih | bias_ih | bias_hh | weight_hh]``, or without the biases."""
    return size.input_size + 2 * size.bias + size.output_size


def to_torch(matrix: Array, size: LayerSize) -> dict[str, Array]:
    """A copy of a parameter matrix under torch's names. torch has the first of our gates last."""
    I, hidden = size.input_size, size.input_size + 2 * size.bias
    matrix = np.concatenate((matrix[size.hidden_size :], matrix[: size.hidden_size]))
    named = {"weight_ih": matrix[:, :I], "weight_hh": matrix[:, hidden:]}
    if size.bias:
        named |= {"bias_ih": matrix[:, I], "bias_hh": matrix[:, I + 1]}
    return {name: np.array(array) for name, array in named.items()}


def from_torch(matrix: Array, size: LayerSize, named: dict[str, Array]) -> None:
    """Write parameters under torch's names into a matrix; the opposite of `to_torch`."""
    I, hidden = size.input_size, size.input_size + 2 * size.bias
    columns = {"weight_ih": matrix[:, :I], "weight_hh": matrix[:, hidden:]}
    if size.bias:
        columns |= {"bias_ih": matrix[:, I], "bias_hh": matrix[:, I + 1]}
    for name, ours in columns.items():
        ours[...] = np.roll(named[name], size.hidden_size, axis=0)


def sweeps(steps: int, bytes_per_step: int) -> list[slice]:
    """`steps` cut into sweeps that fit in the cache, in the order of the backward pass."""
    length = min(steps, max(1, CACHE_BYTES // bytes_per_step))
    return [slice(max(0, stop - length), stop) for stop in range(steps, 0, -length)]


def sweep_room(steps: int, bytes_per_step: int, array: int) -> int:
    """The most bytes that an array, with `array` bytes a step, has in a sweep, for so many steps and lanes or fewer.

    Fewer lanes make longer sweeps: up to the cache for each, however many bytes a step has.
    """
    return min(steps * array, max(array, CACHE_BYTES * array // bytes_per_step))


def add_parts(parts: list[Array], out: Array) -> None:
    """The sum of the ranks' `parts`, two or more, in the order of the ranks."""
    np.add(parts[0], parts[1], out)
    for other in parts[2:]:
        np.add(out, other, out)


def row_items(array: Array) -> Array:
    """A view of `array` ``(…, B)`` in which each row of lanes is one item, ``(…)``.

    Copying between layouts then takes half to a third of the time: NumPy starts a loop for each row otherwise.
    """
    return array.view(np.dtype((np.void, array.shape[-1] * array.itemsize)))[..., 0]


class Buffers:
    """The buffers for `T` steps of `B` lanes that the loop of every cell has.

    For the other layers, feature-major over the whole sequence, and shared by the ranks:

    - ``inputs`` ``(I, T, B)``: written before `forward`.
    - ``one_and_outputs`` ``(1+P, T·B)``: after it, the hidden state of every step under a row of ones, for a linear
      layer with a bias; ``outputs`` ``(P, T·B)`` is the same without that row.
    - ``d_outputs`` ``(P, T·B)``: written before `backward`.

    Of a rank's units alone, which are ``units`` of the `H` and ``own`` of the outputs:

    - ``d_gates`` ``(gates·U, T·B)``: after `backward`, the gradient before the activations.
    - ``rows`` ``(rows·U, I+2+P)``: this rank's rows of the parameter matrix, with zeros for missing biases, and
      ``d_rows`` their gradient.

    With `by_lane` a column of ``d_gates`` and of ``d_rows`` is in one piece instead of a row.
    """

    def __init__(
        self,
        steps: int,
        lanes: int,
        size: LayerSize,
        *,
        gates: int,
        rows: int,
        dtype: np.dtype,
        rank: Rank,
        arenas: Arenas,
        by_lane: bool = False,
    ) -> None:
        T, B, I, P = steps, lanes, size.input_size, size.output_size
        H, K = I + 2, I + 2 + P
        self.size, self.ranks, self.dtype = size, rank.count, dtype
        self.masks: Masks | None = None  # of the batch in these buffers
        self.units = rank.share(size.hidden_size)
        self.own = slice(0, P) if size.proj_size else self.units
        U, O = self.units.stop - self.units.start, self.own.stop - self.own.start
        self.shape = (T, U, B)

        # Columns t·B … of `stacked` are [x_t; 1; 1; h_t]; h_{t+1} is written straight into its place.
        self._whole = stacked = arenas.shared.empty((K, T + 1, B), dtype)
        arenas.shared.keep(stacked[I:H], 1)
        flat = stacked.reshape(K, (T + 1) * B)
        self.inputs, self.stacked = stacked[:I, :T], flat[:, : T * B]
        self.hidden_by_step = stacked[H + self.own.start : H + self.own.stop].transpose(1, 0, 2)
        self._carried = flat[H - 1 :, B:]
        # With masks what is carried differs from what is shown, which then has a place of its own.
        shown = arenas.shared.empty((1 + P, T, B), dtype)
        self._shown = shown.reshape(1 + P, T * B)
        self._shown_by_step = shown[1 + self.own.start : 1 + self.own.stop].transpose(1, 0, 2)

        # Gradients are a step too long, which keeps their rows off a power of two: such rows share cache lines.
        if by_lane:
            d_gates = arenas.own.empty((T, B, gates * U + 16), dtype)[..., : gates * U]
            self.d_gates = d_gates.reshape(T * B, gates * U).T
            self.d_gates_by_step = d_gates.transpose(0, 2, 1)
        else:
            d_gates = arenas.own.empty((gates * U, T + 1, B), dtype)
            self.d_gates = d_gates.reshape(gates * U, (T + 1) * B)[:, : T * B]
            self.d_gates_by_step = d_gates[:, :T].transpose(1, 0, 2)
        self.d_outputs = arenas.shared.empty((P, (T + 1) * B), dtype)[:, : T * B]
        self.d_outputs_by_step = self.d_outputs[self.own].reshape(O, T, B).transpose(1, 0, 2)
        # Each rank's part of dh, for all units; the ranks add them up. Two of them, so that none is written
        # before all have read it.
        parts = arenas.shared.empty((2, rank.count, P, B), dtype)
        self.parts = [(parts[k, rank.index], [part[self.own] for part in parts[k]]) for k in range(2)]

        self.rows = arenas.own.empty((rows * U, K), dtype)
        if not size.bias:
            arenas.own.keep(self.rows[:, I:H], 0)
        self.d_rows = arenas.own.empty((K, rows * U) if by_lane else (rows * U, K), dtype)
        if by_lane:
            self.d_rows = self.d_rows.T

    @property
    def hidden_rows(self) -> Array:
        """The columns of ``rows`` that meet the hidden state, ``(rows·U, P)``."""
        return self.rows[:, self.size.input_size + 2 :]

    # What follows has an array for each step; it is made when a loop first runs.

    @cached_property
    def by_step(self) -> list[Array]:
        """``[x; 1; 1; h]`` of each step."""
        return list(self._whole[:, : self.shape[0]].transpose(1, 0, 2))

    @cached_property
    def hidden(self) -> list[Array]:
        """This rank's part of what is carried: the hidden state before each step, and after the last."""
        return list(self.hidden_by_step)

    @cached_property
    def shown(self) -> list[Array]:
        """Where this rank's outputs of each step go when there are masks."""
        return list(self._shown_by_step)

    @property
    def one_and_outputs(self) -> Array:
        """See the class."""
        return self._carried if self.masks is None else self._shown

    @property
    def outputs(self) -> Array:
        """See the class."""
        return self.one_and_outputs[1:]

    def outputs_by_step(self) -> Array:
        """This rank's part of the outputs, ``(T, U, B)``."""
        return self._shown_by_step if self.masks is not None else self.hidden_by_step[1:]

    def own_rows(self, matrix: Array) -> Array:
        """The rows of a parameter matrix ``(rows·H, …)`` that are this rank's, ``(rows, U, …)``: a view."""
        return matrix.reshape(-1, self.size.hidden_size, matrix.shape[1])[:, self.units]

    def loads(self, matrix: Array) -> list[Call]:
        """Calls that copy this rank's rows of `matrix` into ``rows``."""
        return [bind_copy(theirs, ours) for ours, theirs in self._blocks(self.rows, matrix)]

    def stores(self, d_matrix: Array) -> list[Call]:
        """Calls that copy ``d_rows`` into this rank's rows of `d_matrix`."""
        return [bind_copy(ours, theirs) for ours, theirs in self._blocks(self.d_rows, d_matrix)]

    def _blocks(self, rows: Array, matrix: Array) -> Iterator[tuple[Array, Array]]:
        """What belongs together in this rank's `rows` and the `matrix` of a layer, which has no columns for no bias."""
        I, hidden = self.size.input_size, self.size.input_size + 2
        gates = [(rows, matrix)]
        if self.ranks > 1:
            theirs = self.own_rows(matrix)
            gates = list(zip(rows.reshape(*theirs.shape[:2], -1), theirs, strict=True))
        for ours, theirs in gates:
            if self.size.bias:
                yield ours, theirs
            else:
                yield ours[:, :I], theirs[:, :I]
                yield ours[:, hidden:], theirs[:, I:]

    def start(self, masks: Masks | None, state: State, aside: State) -> None:
        """Before the first step: take the masks of the batch and apply them to the first `state`."""
        self.masks = masks
        if masks is not None:
            self._shown[0] = 1
            masks.start(state, aside)

    def start_backward(self) -> None:
        """Before the last step: what the caller says of outputs in the padding counts for nothing."""
        if self.masks is not None:
            np.copyto(self.d_outputs_by_step, 0, where=self.masks.padding[:, None])
