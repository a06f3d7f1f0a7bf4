"""The GRU cell: equations, one step, and what it computes of a sequence.

For one step, with ``x`` ``(I, B)`` and ``h`` ``(H, B)``, ``σ`` the logistic sigmoid and ``⊙`` the element-wise
product::

    r = σ(W_r·[x; 1; 1; h])            z = σ(W_z·[x; 1; 1; h])
    s = W_nh·[1; h]                     n = tanh(W_nx·[x; 1] + r ⊙ s)
    h' = (1 − z) ⊙ n + z ⊙ h

The parameters are one matrix ``W`` ``(3H, I+2+H)``. Its rows are the gates in the order **n, r, z**; its columns are
``[weight_ih | bias_ih | bias_hh | weight_hh]``, so that ``W_nx`` with its bias and ``W_nh`` with its bias stand side by
side in the rows of n. torch orders the gates r, z, n, which is this order rolled by one.

Source of the equations: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014), with the reset
gate applied after the product, as in ``torch.nn.GRU``.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call, in_turn
from ..base.parameters import Array
from ..base.product import Product, bind_product, bind_scaled, empty_weights
from .buffers import Buffers, LayerSize, State, Weights, row_items, sweep_room, sweeps
from .cell import BackwardStep, Cell, ForwardStep, Sweep

__all__ = ["GRUCell"]


class GRUCell(Cell):
    """The GRU. Four gates, n, r, z and s, of three blocks of rows: those of n are also those of s."""

    name, kind = "gru", "GRU"
    rows, gates = 3, 4

    def sums(
        self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul
    ) -> list[Array]:
        """See `Cell`."""
        H, split, ones = size.hidden_size, size.input_size + size.bias, np.ones((int(size.bias), x.shape[1]), x.dtype)
        from_x = product(weights[0][:, :split], np.concatenate((x, ones)))
        from_h = product(weights[0][:, split:], np.concatenate((ones, state[0])))
        return [from_x[:H], from_x[H:] + from_h[H:], from_h[:H]]

    def activate(
        self, weights: Weights, size: LayerSize, sums: list[Array], state: State, product: Product = np.matmul
    ) -> State:
        """See `Cell`."""
        (hidden,), (n, rz, s), H = state, sums, size.hidden_size
        rz = 1 / (1 + np.exp(-rz))
        r, z = rz[:H], rz[H:]
        n = np.tanh(n + r * s)
        return (n + z * (hidden - n),)

    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> GRUKernel:
        """See `Cell`."""
        return GRUKernel(buffers, d_state, arena)


class GRUKernel:
    """A `recurrio.core.cells.cell.CellKernel`.

    Backward, every gate's gradient is ``dh'`` times a factor that the forward pass knows::

        dn = dh' ⊙ (1 − z) ⊙ (1 − n²)      dz = dh' ⊙ (h − n) ⊙ z ⊙ (1 − z)
        ds = dn ⊙ r                         dr = dn ⊙ s ⊙ r ⊙ (1 − r)
        dh = dh' ⊙ z + W_hᵀ·[dr; dz; ds]

    A sweep is as many steps as fit in the cache: whole-array calls for the factors, then step by step. A factor
    becomes a gradient in place: of n, r, z, s and h, which is z.
    """

    def __init__(self, buffers: Buffers, d_state: State, arena: Arena) -> None:
        (T, U, B), dtype, size = buffers.shape, buffers.dtype, buffers.size
        H, split = size.hidden_size, size.input_size + 1
        self._buffers, self._d_state, self._split = buffers, d_state, split
        self.d_inputs_from = buffers.d_gates[: 3 * U]
        self._gates = arena.empty((T, 4 * U, B), dtype)  # n, r, z, s
        self._one, self._scratch = np.array(1, dtype), arena.empty((U, B), dtype)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of r and z.
        self._signs = np.repeat(np.array([1, -1], dtype), (U, 2 * U))[:, None]
        self._ones = np.ones_like(self._signs)
        self.gate_signs = np.concatenate((self._signs, self._ones[:U]))
        self._for_n = empty_weights(U, split, B, dtype, arena)
        self._for_s = empty_weights(U, 1 + H, B, dtype, arena)
        self._for_rz = empty_weights(2 * U, split + 1 + H, B, dtype, arena)
        step = U * B * dtype.itemsize
        self._cuts = sweeps(T, 14 * step)
        longest = self._cuts[0].stop - self._cuts[0].start
        self._factors = arena.empty((longest, 5 * U, B), dtype, sweep_room(T, 14 * step, 5 * step))
        room = sweep_room(T, 14 * step, step)
        self._rest, self._d_outputs = (arena.empty((longest, U, B), dtype, room) for _ in range(2))

    def states(self) -> list[State]:
        """See `CellKernel`."""
        return [(hidden,) for hidden in self._buffers.hidden]

    def loads(self) -> list[Call]:
        """See `CellKernel`."""
        rows, signs, split, U = self._buffers.rows, self._signs, self._split, len(self._for_n)
        return [
            bind_scaled(rows[:U, :split], signs[:U], self._for_n),
            bind_scaled(rows[:U, split:], signs[:U], self._for_s),
            bind_scaled(rows[U:], signs[U:], self._for_rz),
        ]

    def forward_steps(self) -> list[ForwardStep]:
        """See `CellKernel`."""
        U, hidden = self._buffers.shape[1], self._buffers.hidden
        steps = []
        for t, x in enumerate(self._buffers.by_step):
            gates = self._gates[t]
            products = [
                bind_product(self._for_n, x[: self._split], gates[:U]),
                bind_product(self._for_rz, x, gates[U : 3 * U]),
                bind_product(self._for_s, x[self._split :], gates[3 * U :]),
            ]
            activate = bind_activation(gates, hidden[t], hidden[t + 1], self._scratch, self._one)
            steps.append(ForwardStep(in_turn(products), gates[: 3 * U], gates, activate))
        return steps

    def sweeps(self) -> list[Sweep]:
        """See `CellKernel`."""
        (_, U, B), buffers, d_state = self._buffers.shape, self._buffers, self._d_state
        (d_hidden,) = d_state
        found = []
        for now in self._cuts:
            n = now.stop - now.start
            factors, d_outputs = self._factors[:n], self._d_outputs[:n]
            gates = [self._gates[now, k * U : (k + 1) * U] for k in range(4)]
            factors_of = [factors[:, k * U : (k + 1) * U] for k in range(5)]
            arrays = [buffers.hidden_by_step[now], *gates, *factors_of, self._rest[:n], self._one]
            arrays += [row_items(d_outputs), row_items(buffers.d_outputs_by_step[now])]
            steps = []
            for t in reversed(range(n)):
                nrzsh, through = factors[t].reshape(5, U, B), factors[t, 4 * U :]
                differentiate = partial(np.multiply, nrzsh, d_hidden, nrzsh)
                finish = partial(np.add, d_hidden, through, d_hidden)
                d_sums, step = factors[t, U : 4 * U], now.start + t
                d_gates = factors[t, : 4 * U]
                steps.append(BackwardStep(step, d_outputs[t], differentiate, d_sums, finish, d_state, d_state, d_gates))
            after = partial(np.copyto, row_items(buffers.d_gates_by_step[now]), row_items(factors[:, : 4 * U]))
            found.append(Sweep(partial(find_factors, *arrays), steps, after))
        return found

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """See `CellKernel`."""
        return None if table is None else table * self._signs

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """See `CellKernel`."""
        U, rows, to = len(self._for_n), self._buffers.hidden_rows, hidden_weights.T
        return [bind_scaled(rows[U:], self._ones[U:], to[: 2 * U]), bind_scaled(rows[:U], self._ones[:U], to[2 * U :])]

    def products(self) -> list[Call]:
        """See `CellKernel`."""
        buffers, U, split = self._buffers, len(self._for_n), self._split
        d_gates, stacked, d_rows = buffers.d_gates, buffers.stacked, buffers.d_rows
        return [
            partial(np.matmul, d_gates[U : 3 * U], stacked.T, d_rows[U:]),
            partial(np.matmul, d_gates[:U], stacked[:split].T, d_rows[:U, :split]),
            partial(np.matmul, d_gates[3 * U :], stacked[split:].T, d_rows[:U, split:]),
        ]

    def weight_gradient(self, d_weights: Weights) -> None:
        """See `CellKernel`. There are none."""


def bind_activation(gates: Array, hidden: Array, output: Array, scratch: Array, one: Array) -> Call:
    """A call that makes `output` ``(U, B)`` of `hidden` and of the products in `gates` ``(4U, B)``, n, −r, −z and s."""
    U = len(hidden)

    # Defaults are locals of the call, which are read faster than what a closure holds.
    def activate(
        n: Array = gates[:U],
        rz: Array = gates[U : 3 * U],
        r: Array = gates[U : 2 * U],
        z: Array = gates[2 * U : 3 * U],
        s: Array = gates[3 * U :],
        hidden: Array = hidden,
        output: Array = output,
        scratch: Array = scratch,
        one: Array = one,
        exp: np.ufunc = np.exp,
        add: np.ufunc = np.add,
        reciprocal: np.ufunc = np.reciprocal,
        tanh: np.ufunc = np.tanh,
        multiply: np.ufunc = np.multiply,
        subtract: np.ufunc = np.subtract,
    ) -> None:
        # exp(−z) = inf is σ(z) = 0, which is right; the caller silences overflow.
        exp(rz, rz)
        add(rz, one, rz)
        reciprocal(rz, rz)
        multiply(r, s, scratch)
        add(n, scratch, n)
        tanh(n, n)
        subtract(hidden, n, scratch)
        multiply(z, scratch, scratch)
        add(n, scratch, output)

    return activate


def find_factors(
    hidden: Array,
    n: Array,
    r: Array,
    z: Array,
    s: Array,
    for_n: Array,
    for_r: Array,
    for_z: Array,
    for_s: Array,
    for_h: Array,
    rest: Array,
    one: Array,
    d_outputs_to: Array,
    d_outputs_from: Array,
) -> None:
    """The factors of a sweep, and a copy of the gradients of its outputs."""
    np.copyto(for_h, z)
    np.subtract(one, z, rest)
    np.multiply(n, n, for_n)
    np.subtract(one, for_n, for_n)
    np.multiply(for_n, rest, for_n)
    np.subtract(hidden, n, for_z)
    np.multiply(for_z, z, for_z)
    np.multiply(for_z, rest, for_z)
    np.multiply(for_n, r, for_s)
    np.subtract(one, r, for_r)
    np.multiply(for_r, s, for_r)
    np.multiply(for_r, for_s, for_r)
    np.copyto(d_outputs_to, d_outputs_from)
