"""The GRU whose reset gate acts before the product: equations, one step, and what it computes of a sequence.

For one step, with ``x`` ``(I, B)`` and ``h`` ``(H, B)``, ``σ`` the logistic sigmoid and ``⊙`` the element-wise
product::

    r = σ(W_r·[x; 1; 1; h])            z = σ(W_z·[x; 1; 1; h])
    n = tanh(W_n·[x; 1; 1; r ⊙ h])     h' = (1 − z) ⊙ n + z ⊙ h

The parameters are those of `recurrio.core.cells.gru`, with the same names and shapes; another function is computed of
them. ONNX has it as ``linear_before_reset=0``, Keras as ``reset_after=False``.

Source of the equations: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014).
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

__all__ = ["GRUResetBeforeCell"]


class GRUResetBeforeCell(Cell):
    """The GRU in its first published form. Three gates, n, r and z."""

    name, kind = "gru_reset_before", "GRU reset before"
    rows = gates = 3
    normalises = False

    @property
    def options(self) -> dict[str, str | bool]:
        """That the reset gate does not act after the product."""
        return {"reset_after": False}

    def most_ranks(self, size: LayerSize) -> int:
        """One, because the product for n needs r of all units within a step."""
        return 1

    def sums(
        self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul
    ) -> list[Array]:
        """See `Cell`."""
        matrix, H, split = weights[0], size.hidden_size, size.input_size + 2 * size.bias
        x = np.concatenate((x, np.ones((split - len(x), x.shape[1]), x.dtype)))
        return [product(matrix[:H, :split], x), product(matrix[H:], np.concatenate((x, state[0])))]

    def activate(
        self, weights: Weights, size: LayerSize, sums: list[Array], state: State, product: Product = np.matmul
    ) -> State:
        """See `Cell`."""
        (hidden,), (n, rz), H = state, sums, size.hidden_size
        rz = 1 / (1 + np.exp(-rz))
        r, z = rz[:H], rz[H:]
        n = np.tanh(n + product(weights[0][:H, size.input_size + 2 * size.bias :], r * hidden))
        return (n + z * (hidden - n),)

    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> GRUResetBeforeKernel:
        """See `Cell`."""
        return GRUResetBeforeKernel(buffers, d_state, arena)


class GRUResetBeforeKernel:
    """A `recurrio.core.cells.cell.CellKernel`, of all units. Backward, with ``k = r ⊙ h``::

        dn = dh' ⊙ (1 − z) ⊙ (1 − n²)      dz = dh' ⊙ (h − n) ⊙ z ⊙ (1 − z)
        dk = W_nhᵀ·dn                       dr = dk ⊙ h ⊙ r ⊙ (1 − r)
        dh = dh' ⊙ z + dk ⊙ r + W_hᵀ·[dr; dz]

    A sweep is as many steps as fit in the cache: whole-array calls for the factors, then step by step. A factor
    becomes a gradient in place: of r, z, n and h, which is z.
    """

    def __init__(self, buffers: Buffers, d_state: State, arena: Arena) -> None:
        (T, H, B), dtype = buffers.shape, buffers.dtype
        self._buffers, self._d_state, self._split = buffers, d_state, buffers.size.input_size + 2
        self.d_inputs_from = buffers.d_gates
        self._gates = arena.empty((T, 3 * H, B), dtype)  # n, r, z
        # k of every step; a step too long, as the gradients are.
        k = arena.empty((H, T + 1, B), dtype)
        self._k, self._k_by_step = k.reshape(H, (T + 1) * B)[:, : T * B], k.transpose(1, 0, 2)[:T]
        self._one, self._scratch = np.array(1, dtype), arena.empty((H, B), dtype)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of r and z.
        self._signs = np.repeat(np.array([1, -1], dtype), (H, 2 * H))[:, None]
        self._ones, self.gate_signs = np.ones_like(self._signs), self._signs
        self._for_n = empty_weights(H, self._split, B, dtype, arena)
        self._for_rz = empty_weights(2 * H, self._split + H, B, dtype, arena)
        self._for_k, self._for_dk = (empty_weights(H, H, B, dtype, arena) for _ in range(2))
        step = H * B * dtype.itemsize
        self._cuts = sweeps(T, 12 * step)
        longest = self._cuts[0].stop - self._cuts[0].start
        self._factors = arena.empty((longest, 4 * H, B), dtype, sweep_room(T, 12 * step, 4 * step))
        room = sweep_room(T, 12 * step, step)
        self._rest, self._d_outputs = (arena.empty((longest, H, B), dtype, room) for _ in range(2))

    def states(self) -> list[State]:
        """See `CellKernel`."""
        return [(hidden,) for hidden in self._buffers.hidden]

    def loads(self) -> list[Call]:
        """See `CellKernel`."""
        rows, signs, split, H = self._buffers.rows, self._signs, self._split, len(self._for_n)
        return [
            bind_scaled(rows[:H, :split], signs[:H], self._for_n),
            bind_scaled(rows[:H, split:], signs[:H], self._for_k),
            bind_scaled(rows[H:], signs[H:], self._for_rz),
        ]

    def forward_steps(self) -> list[ForwardStep]:
        """See `CellKernel`."""
        H, hidden, scratch, steps = self._buffers.shape[1], self._buffers.hidden, self._scratch, []
        for t, x in enumerate(self._buffers.by_step):
            gates, k = self._gates[t], self._k_by_step[t]
            n, r, z = gates[:H], gates[H : 2 * H], gates[2 * H :]
            products = [
                bind_product(self._for_n, x[: self._split], n),
                bind_product(self._for_rz, x, gates[H:]),
            ]
            activate: list[Call] = [
                partial(open_gates, gates[H:], r, hidden[t], k, self._one),
                bind_product(self._for_k, k, scratch),
                partial(mix, n, z, hidden[t], hidden[t + 1], scratch),
            ]
            steps.append(ForwardStep(in_turn(products), gates, gates, in_turn(activate)))
        return steps

    def sweeps(self) -> list[Sweep]:
        """See `CellKernel`."""
        (_, H, B), buffers, d_state = self._buffers.shape, self._buffers, self._d_state
        (d_hidden,), dk = d_state, self._scratch
        found = []
        for now in self._cuts:
            n = now.stop - now.start
            factors, d_outputs = self._factors[:n], self._d_outputs[:n]
            gates = [self._gates[now, k * H : (k + 1) * H] for k in range(3)]
            factors_of = [factors[:, k * H : (k + 1) * H] for k in range(4)]
            arrays = [buffers.hidden_by_step[now], *gates, *factors_of, self._rest[:n], self._one]
            arrays += [row_items(d_outputs), row_items(buffers.d_outputs_by_step[now])]
            steps = []
            for t in reversed(range(n)):
                step = now.start + t
                dr, dn, through = factors[t, :H], factors[t, 2 * H : 3 * H], factors[t, 3 * H :]
                znh = factors[t, H:].reshape(3, H, B)
                calls: list[Call] = [
                    partial(np.multiply, znh, d_hidden, znh),
                    bind_product(self._for_dk, dn, dk),
                    partial(pass_back, dk, self._gates[step, H : 2 * H], dr, through),
                ]
                finish = partial(np.add, d_hidden, through, d_hidden)
                drz, d_gates = factors[t, : 2 * H], factors[t, : 3 * H]
                steps.append(BackwardStep(step, d_outputs[t], in_turn(calls), drz, finish, d_state, d_state, d_gates))
            into = buffers.d_gates_by_step[now]
            n_and_rz = [
                partial(np.copyto, row_items(into[:, :H]), row_items(factors[:, 2 * H : 3 * H])),
                partial(np.copyto, row_items(into[:, H:]), row_items(factors[:, : 2 * H])),
            ]
            found.append(Sweep(partial(find_factors, *arrays), steps, in_turn(n_and_rz)))
        return found

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """See `CellKernel`."""
        return None if table is None else table * self._signs

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """See `CellKernel`."""
        H, rows = len(self._for_n), self._buffers.hidden_rows
        return [
            bind_scaled(rows[H:], self._ones[H:], hidden_weights.T[: 2 * H]),
            bind_scaled(rows[:H], self._ones[:H], self._for_dk.T),
        ]

    def products(self) -> list[Call]:
        """See `CellKernel`."""
        buffers, H, split = self._buffers, len(self._for_n), self._split
        d_gates, stacked, d_rows = buffers.d_gates, buffers.stacked, buffers.d_rows
        return [
            partial(np.matmul, d_gates[H:], stacked.T, d_rows[H:]),
            partial(np.matmul, d_gates[:H], stacked[:split].T, d_rows[:H, :split]),
            partial(np.matmul, d_gates[:H], self._k.T, d_rows[:H, split:]),
        ]

    def weight_gradient(self, d_weights: Weights) -> None:
        """See `CellKernel`. There are none."""


def open_gates(rz: Array, r: Array, hidden: Array, k: Array, one: Array) -> None:
    """r and z of their products, times −1, in place; and k. exp(−z) = inf is σ(z) = 0, which is right."""
    np.exp(rz, rz)
    np.add(rz, one, rz)
    np.reciprocal(rz, rz)
    np.multiply(r, hidden, k)


def mix(n: Array, z: Array, hidden: Array, output: Array, scratch: Array) -> None:
    """n of its products, the second of which is in `scratch`, in place; and the next hidden state."""
    np.add(n, scratch, n)
    np.tanh(n, n)
    np.subtract(hidden, n, scratch)
    np.multiply(z, scratch, scratch)
    np.add(n, scratch, output)


def find_factors(
    hidden: Array,
    n: Array,
    r: Array,
    z: Array,
    for_r: Array,
    for_z: Array,
    for_n: Array,
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
    np.subtract(one, r, for_r)
    np.multiply(for_r, r, for_r)
    np.multiply(for_r, hidden, for_r)
    np.copyto(d_outputs_to, d_outputs_from)


def pass_back(dk: Array, r: Array, dr: Array, through: Array) -> None:
    """From `dk`, which is used up, to r, and to h beside the other way."""
    np.multiply(dr, dk, dr)
    np.multiply(dk, r, dk)
    np.add(through, dk, through)
