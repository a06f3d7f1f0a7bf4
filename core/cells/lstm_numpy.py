"""What an LSTM computes element by element, between two products, by NumPy.

`Plain` and `recurrio.core.cells.lstm_compiled.Compiled` have the same attributes:

- ``cells`` ``(T+1, U, B)``: the cell state before each step, and after the last.
- ``z`` ``(T, 4U, B)``: where the product of each step goes, o, i, f, g before the activations, the first three with
  the sign turned.
- `forward_calls`: for each step, a call that makes the next cell state and ``o ⊙ tanh(c')`` of it.
- `sweeps`: those of the backward pass.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call
from ..base.parameters import Array
from .buffers import Buffers, row_items, sweep_room, sweeps
from .cell import BackwardStep, Sweep

__all__ = ["Plain", "Surroundings"]


class Surroundings(NamedTuple):
    """What the elements work on, beside the buffers of a layer of U units over `T` steps of `B` lanes.

    ``d_hidden`` is the gradient of the hidden state, ``d_raw`` ``(U, B)`` the same, or with a projection what it makes
    of it. With one, ``raw`` ``(T, U, B)`` takes ``o ⊙ tanh(c')`` and ``d_projected`` ``(T, P, B)`` copies of
    ``d_hidden``.
    """

    buffers: Buffers
    raw: Array
    d_hidden: Array
    d_cell: Array
    d_raw: Array
    projection: Array
    d_projected: Array | None


class Plain:
    """NumPy.

    Backward, a sweep is as many steps as fit in the cache: whole-array calls for its derivative factors, then step by
    step. A factor becomes a gradient in place: those of dh' are the factors of tanh(c') and o, those of dc' the factors
    of i, f, g and c, which is f.
    """

    def __init__(self, around: Surroundings, arena: Arena) -> None:
        (T, U, B), dtype = around.buffers.shape, around.d_cell.dtype
        self._around, self._one = around, np.array(1, dtype)
        # gates[t] is o, i, f, g, c_t, one behind the other, so that what is used together is contiguous.
        self._gates, self._cell_tanh = arena.empty((T + 1, 5 * U, B), dtype), arena.empty((T, U, B), dtype)
        self.cells, self.z = self._gates[:, 4 * U :], self._gates[:T, : 4 * U]
        self._products = arena.empty((2 * U, B), dtype)
        step, P = U * B * dtype.itemsize, len(around.d_hidden)
        self._cuts = sweeps(T, 16 * step)
        longest, outputs = self._cuts[0].stop - self._cuts[0].start, P * B * dtype.itemsize
        self._factors = arena.empty((longest, 6 * U, B), dtype, sweep_room(T, 16 * step, 6 * step))
        self._d_outputs = arena.empty((longest, P, B), dtype, sweep_room(T, 16 * step, outputs))

    def forward_calls(self) -> list[Call]:
        """A call for each step."""
        (T, U, _), gates, products = self._around.buffers.shape, self._gates, self._products
        outputs = self._around.buffers.hidden[1:] if self._around.d_projected is None else list(self._around.raw)
        return [
            partial(
                activate,
                self._one,
                gates[t, : 3 * U],
                gates[t, 3 * U : 4 * U],
                gates[t, U : 3 * U],
                gates[t, 3 * U :],
                products,
                products[:U],
                products[U:],
                gates[t + 1, 4 * U :],
                self._cell_tanh[t],
                gates[t, :U],
                outputs[t],
            )
            for t in range(T)
        ]

    def sweeps(self) -> list[Sweep]:
        """As many steps each as fit in the cache."""
        _, _, d_hidden, d_cell, d_raw, projection, d_projected = self._around
        (_, U, B), factors = self._around.buffers.shape, self._factors
        found = []
        for now in self._cuts:
            n = now.stop - now.start
            steps: list[BackwardStep] = []
            for t in reversed(range(n)):
                step, d_next_cell = now.start + t, d_cell if t == n - 1 else factors[t + 1, 5 * U :]
                back = None
                if d_projected is not None:
                    back = partial(project_back, projection, d_hidden, d_projected[step], d_raw)
                call = partial(
                    differentiate,
                    back,
                    d_raw,
                    factors[t, U : 2 * U],
                    factors[t, :U],
                    d_next_cell,
                    d_cell,
                    factors[t, 2 * U :].reshape(4, U, B),
                )
                d_sums, d_states = factors[t, U : 5 * U], ((d_hidden, d_next_cell), (d_hidden, factors[t, 5 * U :]))
                steps.append(BackwardStep(step, self._d_outputs[t], call, d_sums, None, *d_states, d_sums))
            found.append(Sweep(partial(find_factors, *self._for_factors(now)), steps, partial(keep, *self._kept(now))))
        return found

    def _for_factors(self, now: slice) -> tuple[Array, ...]:
        """The arguments of `find_factors`."""
        n, U = now.stop - now.start, self._around.buffers.shape[1]
        gates, factors = self._gates[now], self._factors[:n]
        return (
            self._one,
            gates[:, : 3 * U],
            *(gates[:, k * U : (k + 1) * U] for k in range(4)),
            gates[:, 3 * U :],
            self._cell_tanh[now],
            factors[:, U : 4 * U],
            factors[:, U : 2 * U],
            factors[:, 2 * U : 4 * U],
            factors[:, 4 * U : 5 * U],
            factors[:, :U],
            factors[:, 5 * U :],
            row_items(self._around.buffers.d_outputs_by_step[now]),
            row_items(self._d_outputs[:n]),
        )

    def _kept(self, now: slice) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """What a sweep leaves, and where the next would overwrite it."""
        n, U, d_gates = now.stop - now.start, self._around.buffers.shape[1], self._around.buffers.d_gates_by_step
        to = (self._around.d_cell, row_items(d_gates[now]))
        return to, (self._factors[0, 5 * U :], row_items(self._factors[:n, U : 5 * U]))


def activate(
    one: Array,
    oif: Array,
    g: Array,
    i_f: Array,
    g_c: Array,
    ig_fc: Array,
    ig: Array,
    fc: Array,
    next_cell: Array,
    cell_tanh: Array,
    o: Array,
    output: Array,
) -> None:
    """One step forward; exp(−z) = inf is σ(z) = 0, which is right, and the caller silences overflow."""
    np.exp(oif, oif)
    np.add(oif, one, oif)
    np.reciprocal(oif, oif)
    np.tanh(g, g)
    np.multiply(i_f, g_c, ig_fc)
    np.add(ig, fc, next_cell)
    np.tanh(next_cell, cell_tanh)
    np.multiply(o, cell_tanh, output)


def find_factors(
    one: Array,
    oif: Array,
    o: Array,
    i: Array,
    f: Array,
    g: Array,
    g_c: Array,
    cell_tanh: Array,
    for_oif: Array,
    for_o: Array,
    for_if: Array,
    for_g: Array,
    for_cell: Array,
    for_c: Array,
    d_outputs_from: Array,
    d_outputs_to: Array,
) -> None:
    """The derivative factors of a sweep, and a copy of the gradients of its outputs."""
    np.subtract(one, oif, for_oif)
    np.multiply(for_oif, oif, for_oif)
    np.multiply(for_o, cell_tanh, for_o)
    np.multiply(for_if, g_c, for_if)
    np.multiply(g, g, for_g)
    np.subtract(one, for_g, for_g)
    np.multiply(for_g, i, for_g)
    np.multiply(cell_tanh, cell_tanh, for_cell)
    np.subtract(one, for_cell, for_cell)
    np.multiply(for_cell, o, for_cell)
    np.copyto(for_c, f)
    np.copyto(d_outputs_to, d_outputs_from)


def project_back(projection: Array, d_hidden: Array, d_projected: Array, d_raw: Array) -> None:
    """One step backward through a projection; the gradient of its outputs is kept."""
    np.copyto(d_projected, d_hidden)
    np.matmul(projection.T, d_hidden, d_raw)


def differentiate(
    back: Call | None,
    d_raw: Array,
    d_o: Array,
    through_tanh: Array,
    d_next_cell: Array,
    d_cell: Array,
    ifg_c: Array,
) -> None:
    """One step backward: the factors become gradients."""
    if back is not None:
        back()
    np.multiply(d_o, d_raw, d_o)  # two calls, because one that broadcasts takes longer
    np.multiply(through_tanh, d_raw, through_tanh)
    np.add(d_next_cell, through_tanh, d_cell)
    np.multiply(ifg_c, d_cell, ifg_c)


def keep(to: tuple[Array, ...], values: tuple[Array, ...]) -> None:
    """After a sweep: copy what would be overwritten."""
    for into, value in zip(to, values, strict=True):
        np.copyto(into, value)
