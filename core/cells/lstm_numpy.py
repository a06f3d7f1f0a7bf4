"""What an LSTM computes element by element, between two products, by NumPy.

`Plain` and `recurrio.core.cells.lstm_compiled.Compiled` have the same attributes:

- ``cells`` ``(T+1, U, B)``: the cell state before each step, and after the last.
- ``z`` ``(T, 4U, B)``: where the product of each step goes, o, i, f, g before the activations, the first three with
  the sign turned.
- ``forward``: for each step, a call that makes the next cell state and ``o ⊙ tanh(c')`` of it.
- ``backward``: the sweeps over the steps, from the last step to the first. A sweep is a call before it, its steps, and
  a call after it. A step is its number, the gradient of ``c'`` that comes in, a call, the gradient before the
  activations that this call makes, and the gradient of ``c``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..base.parameters import Array
from .buffers import Buffers, row_items, sweeps

__all__ = ["BackwardStep", "Call", "Plain", "Surroundings", "Sweep"]

Call = Callable[[], object]
BackwardStep = tuple[int, Array, Call, Array, Array]
Sweep = tuple[Call, list[BackwardStep], Call]


class Surroundings(NamedTuple):
    """What a layer of U units over `T` steps of `B` lanes gives; a list has one array for each step.

    ``outputs`` take ``o ⊙ tanh(c')``. ``d_hidden`` is the gradient of the hidden state that comes from the next step;
    ``d_raw`` ``(U, B)`` is the same, or with a projection what it makes of it, with a copy in ``d_projected``.
    """

    shape: tuple[int, int, int]  # T, U, B
    buffers: Buffers
    outputs: list[Array]
    d_hidden: Array
    d_cell: Array
    d_raw: Array
    projection: Array
    d_projected: list[Array]


class Plain:
    """NumPy.

    Backward, a sweep is as many steps as fit in the cache: whole-array calls for its derivative factors, then step by
    step. A factor becomes a gradient in place: those of dh' are the factors of tanh(c') and o, those of dc' the factors
    of i, f, g and c, which is f.
    """

    def __init__(self, around: Surroundings) -> None:
        (T, U, B), dtype, buffers = around.shape, around.d_cell.dtype, around.buffers
        # gates[t] is o, i, f, g, c_t, one behind the other, so that what is used together is contiguous.
        gates, cell_tanh = np.zeros((T + 1, 5 * U, B), dtype), np.empty((T, U, B), dtype)
        self.cells, self.z = gates[:, 4 * U :], gates[:T, : 4 * U]
        one, products = np.array(1, dtype), np.empty((2 * U, B), dtype)
        self.forward: list[Call] = [
            partial(
                activate,
                one,
                gates[t, : 3 * U],
                gates[t, 3 * U : 4 * U],
                gates[t, U : 3 * U],
                gates[t, 3 * U :],
                products,
                products[:U],
                products[U:],
                gates[t + 1, 4 * U :],
                cell_tanh[t],
                gates[t, :U],
                around.outputs[t],
            )
            for t in range(T)
        ]

        d_hidden, d_cell, d_raw = around.d_hidden, around.d_cell, around.d_raw
        cuts = sweeps(T, 16 * U * B * dtype.itemsize)
        longest = cuts[0].stop - cuts[0].start
        factors = np.empty((longest, 6 * U, B), dtype)
        d_outputs = np.empty((longest, len(d_hidden), B), dtype)
        self.backward: list[Sweep] = []
        for now in cuts:
            n = now.stop - now.start
            before = partial(
                find_factors,
                one,
                gates[now, : 3 * U],
                gates[now, :U],
                gates[now, U : 2 * U],
                gates[now, 2 * U : 3 * U],
                gates[now, 3 * U : 4 * U],
                gates[now, 3 * U :],
                cell_tanh[now],
                factors[:n, U : 4 * U],
                factors[:n, U : 2 * U],
                factors[:n, 2 * U : 4 * U],
                factors[:n, 4 * U : 5 * U],
                factors[:n, :U],
                factors[:n, 5 * U :],
                row_items(buffers.d_outputs_by_step[now]),
                row_items(d_outputs[:n]),
            )
            steps: list[BackwardStep] = []
            for t in reversed(range(n)):
                step, d_next_cell = now.start + t, d_cell if t == n - 1 else factors[t + 1, 5 * U :]
                call = partial(
                    differentiate,
                    d_outputs[t],
                    d_hidden,
                    d_raw,
                    around.projection.T if around.d_projected else None,
                    around.d_projected[step] if around.d_projected else d_hidden,
                    factors[t, U : 2 * U],
                    factors[t, :U],
                    d_next_cell,
                    d_cell,
                    factors[t, 2 * U :].reshape(4, U, B),
                )
                steps.append((step, d_next_cell, call, factors[t, U : 5 * U], factors[t, 5 * U :]))
            after = partial(
                keep,
                (d_cell, row_items(buffers.d_gates_by_step[now])),
                (factors[0, 5 * U :], row_items(factors[:n, U : 5 * U])),
            )
            self.backward.append((before, steps, after))


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


def differentiate(
    d_output: Array,
    d_hidden: Array,
    d_raw: Array,
    projection: Array | None,
    d_projected: Array,
    d_o: Array,
    through_tanh: Array,
    d_next_cell: Array,
    d_cell: Array,
    ifg_c: Array,
) -> None:
    """One step backward: the factors become gradients."""
    np.add(d_output, d_hidden, d_hidden)
    if projection is not None:
        np.copyto(d_projected, d_hidden)
        np.matmul(projection, d_hidden, d_raw)
    np.multiply(d_o, d_raw, d_o)  # two calls, because one that broadcasts takes longer
    np.multiply(through_tanh, d_raw, through_tanh)
    np.add(d_next_cell, through_tanh, d_cell)
    np.multiply(ifg_c, d_cell, ifg_c)


def keep(to: tuple[Array, ...], values: tuple[Array, ...]) -> None:
    """After a sweep: copy what would be overwritten."""
    for into, value in zip(to, values, strict=True):
        np.copyto(into, value)
