"""The LSTM layer: equations, parameters, and the whole-sequence kernel.

For one step, with ``x`` ``(I, B)``, ``h`` and ``c`` ``(H, B)``, ``σ`` the logistic sigmoid and ``⊙`` the
element-wise product::

    o = σ(W_o·[x; h; 1; 1])     i = σ(W_i·[x; h; 1; 1])
    f = σ(W_f·[x; h; 1; 1])     g = tanh(W_g·[x; h; 1; 1])
    c' = i ⊙ g + f ⊙ c          h' = o ⊙ tanh(c')

The layer's parameters are one matrix ``W`` ``(4H, I+H+2)``. Its rows are the gates in the order **o, i, f, g**;
its columns are ``[weight_ih | weight_hh | bias_ih | bias_hh]``. The two biases meet two rows of ones, so a step
is one product and every gradient of the layer is one product. torch orders the gates i, f, g, o, which is this
order rolled by one; `to_torch` and `from_torch` are the only places that know.

Source of the equations: Hochreiter and Schmidhuber, "Long short-term memory" (1997), with the forget gate of
Gers et al. (2000), as in ``torch.nn.LSTM``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .parameters import Array
from .ranks import Arena, Pass, Rank

__all__ = ["LSTMSequence", "LSTMState"]

GATES = 4
CACHE_BYTES = 1 << 20  # what one sweep over the derivative factors may touch: about a second-level cache


class LSTMState(NamedTuple):
    """What a layer carries from one sequence batch to the next: two arrays ``(H, B)``, of a rank's units only."""

    hidden: Array
    cell: Array


class LSTMSequence:
    """The buffers of one layer for `T` steps of `B` lanes, and the forward and backward passes over them.

    Every array and every per-step view is made here, once; the loops over time allocate nothing. What the other
    layers see is feature-major over the whole sequence, and shared by the ranks:

    - ``inputs`` ``(I, T, B)``: written by the caller before `forward`.
    - ``outputs`` ``(H, T·B)``: ``h'`` of every step.
    - ``outputs_and_one`` ``(H+1, T·B)``: the same above a row of ones, for a linear layer with a bias.
    - ``d_outputs`` ``(H, T·B)``: written by the caller before `backward`.

    A rank has ``U`` of the `H` units, ``units``, and of those all four gates:

    - ``d_gates`` ``(4U, T·B)``: after `backward`, the gradient before the activations, of o, i, f, g.
    """

    def __init__(
        self, steps: int, lanes: int, input_size: int, hidden_size: int, dtype: np.dtype, rank: Rank, arena: Arena
    ) -> None:
        T, B, I, H = steps, lanes, input_size, hidden_size
        K = I + H + 2
        self.units = rank.share(H)
        U = self.units.stop - self.units.start
        own = slice(I + self.units.start, I + self.units.stop)
        self._ranks, self.input_size, self.hidden_size = rank.count, I, H

        # Columns t·B … of `stacked` are [x_t; h_t; 1; 1]; h_{t+1} is written straight into its place.
        stacked = arena.zeros((K, T + 1, B), dtype)
        stacked[I + H :] = 1
        flat = stacked.reshape(K, (T + 1) * B)
        self.inputs = stacked[:I, :T]
        self.outputs = flat[I : I + H, B:]
        self.outputs_and_one = flat[I : I + H + 1, B:]
        self._stacked = flat[:, : T * B]
        self._hidden_first, self._hidden_last = stacked[own, 0], stacked[own, T]

        # gates[t] is o, i, f, g, c_t, one behind the other, so that what is used together is contiguous.
        gates = np.zeros((T + 1, 5 * U, B), dtype)
        self._cell_first, self._cell_last = gates[0, 4 * U :], gates[T, 4 * U :]
        products = np.empty((2 * U, B), dtype)  # i ⊙ g and f ⊙ c
        cell_tanh = np.empty((T, U, B), dtype)  # tanh(c')
        self._rows = np.empty((GATES, U, K), dtype)
        self._packed = np.empty((4 * U, K), dtype)
        self._sums = np.empty((4 * U, B), dtype)
        self._one = np.array(1, dtype)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of o, i and f.
        self._signs = np.repeat(np.array([-1, 1], dtype), (3 * U, U))[:, None]
        self._forward_steps = [
            (
                stacked[:, t],
                gates[t, : 4 * U],
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
                stacked[own, t + 1],
            )
            for t in range(T)
        ]

        # Backward goes over the steps in sweeps that fit in the cache: whole-array calls for the derivative
        # factors of a sweep, then step by step. A factor becomes the gradient of its gate in place.
        d_gates = np.empty((4 * U, T + 1, B), dtype)  # a step too long, which keeps rows off a power of two
        self.d_gates = d_gates.reshape(4 * U, (T + 1) * B)[:, : T * B]
        self.d_outputs = arena.zeros((H, T * B), dtype)
        d_gates_by_step = d_gates[:, :T].transpose(1, 0, 2)
        d_outputs_by_step = self.d_outputs[self.units].reshape(U, T, B).transpose(1, 0, 2)
        self._d_rows = np.empty((4 * U, K), dtype)
        self._hidden_weights = np.empty((H, 4 * U), dtype)
        self._d_hidden, self._d_cell = np.empty((U, B), dtype), np.empty((U, B), dtype)
        self._scratch = np.empty((U, B), dtype)
        # Each rank's part of dh, for all units; the ranks add them up. Two of them, so that none is written
        # before all have read it.
        parts = arena.zeros((2, rank.count, H, B), dtype)
        self._parts = [(parts[k, rank.index], [part[self.units] for part in parts[k]]) for k in range(2)]
        sweep = min(T, max(1, CACHE_BYTES // (14 * U * B * dtype.itemsize)))
        factors = np.empty((sweep, 4 * U, B), dtype)
        cell_factors = np.empty((sweep, U, B), dtype)
        d_outputs = np.empty((sweep, U, B), dtype)
        self._sweeps = []
        for stop in range(T, 0, -sweep):
            start = max(0, stop - sweep)
            n, now = stop - start, slice(start, stop)
            views = (
                gates[now, : 3 * U],
                gates[now, :U],
                gates[now, U : 2 * U],
                gates[now, 3 * U : 4 * U],
                gates[now, 3 * U :],
                cell_tanh[now],
                factors[:n, : 3 * U],
                factors[:n, :U],
                factors[:n, U : 3 * U],
                factors[:n, 3 * U :],
                cell_factors[:n],
                d_outputs_by_step[now],
                d_outputs[:n],
                factors[:n],
                d_gates_by_step[now],
            )
            by_step = [
                (
                    d_outputs[t],
                    cell_factors[t],
                    factors[t, :U],
                    factors[t, U:].reshape(3, U, B),
                    gates[start + t, 2 * U : 3 * U],
                    factors[t],
                    self._parts[(start + t) % 2],
                )
                for t in reversed(range(n))
            ]
            self._sweeps.append((views, by_step))

    @staticmethod
    def matrix_shape(input_size: int, hidden_size: int) -> tuple[int, int]:
        """The shape of a layer's parameter matrix."""
        return GATES * hidden_size, input_size + hidden_size + 2

    @staticmethod
    def to_torch(matrix: Array, input_size: int) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names, in torch's gate order (i, f, g, o)."""
        hidden_size = matrix.shape[0] // GATES
        rows = np.roll(matrix.reshape(GATES, hidden_size, -1), -1, axis=0).reshape(matrix.shape)
        recurrent = input_size + hidden_size
        return {
            "weight_ih": np.ascontiguousarray(rows[:, :input_size]),
            "weight_hh": np.ascontiguousarray(rows[:, input_size:recurrent]),
            "bias_ih": np.ascontiguousarray(rows[:, recurrent]),
            "bias_hh": np.ascontiguousarray(rows[:, recurrent + 1]),
        }

    @staticmethod
    def from_torch(matrix: Array, named: dict[str, Array]) -> None:
        """Write parameters under torch's names and in torch's gate order into a layer's matrix."""
        columns = (named["weight_ih"], named["weight_hh"], named["bias_ih"][:, None], named["bias_hh"][:, None])
        rows = np.concatenate(columns, axis=1).reshape(GATES, matrix.shape[0] // GATES, -1)
        matrix[...] = np.roll(rows, 1, axis=0).reshape(matrix.shape)

    @staticmethod
    def initial_state(lanes: int, units: int, dtype: np.dtype) -> LSTMState:
        """A state of zeros."""
        return LSTMState(np.zeros((units, lanes), dtype), np.zeros((units, lanes), dtype))

    def own_rows(self, matrix: Array) -> Array:
        """The rows of `matrix` ``(4H, …)`` that are this rank's, ``(4, U, …)``: a view."""
        return matrix.reshape(GATES, self.hidden_size, -1)[:, self.units]

    def forward(
        self, matrix: Array, state: LSTMState, table: Array | None = None, tokens: Array | None = None
    ) -> Pass[None]:
        """Run the layer over ``inputs`` from `state`, and leave the state after the last step in `state`.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(4U, V)``: the column of the token,
        for `tokens` ``(T, B)``.
        """
        np.copyto(self._rows, self.own_rows(matrix))
        np.multiply(self._rows.reshape(self._packed.shape), self._signs, out=self._packed)
        columns = None if table is None else table * self._signs
        sums, together = self._sums, self._ranks > 1
        self._hidden_first[...], self._cell_first[...] = state
        yield
        packed, one = self._packed, self._one
        matmul, exp, add, reciprocal = np.matmul, np.exp, np.add, np.reciprocal
        tanh, multiply = np.tanh, np.multiply
        # exp(−z) = inf is σ(z) = 0, which is right; the caller silences overflow.
        for t, step in enumerate(self._forward_steps):
            x, z, oif, g, i_f, g_c, ig_fc, ig, fc, cell, cell_tanh, o, hidden = step
            if columns is None or tokens is None:
                matmul(packed, x, z)
            else:
                columns.take(tokens[t], 1, z, "clip")
                matmul(packed, x, sums)
                add(z, sums, z)
            exp(oif, oif)
            add(oif, one, oif)
            reciprocal(oif, oif)
            tanh(g, g)
            multiply(i_f, g_c, ig_fc)
            add(ig, fc, cell)
            tanh(cell, cell_tanh)
            multiply(o, cell_tanh, hidden)
            if together:
                yield
        state.hidden[...], state.cell[...] = self._hidden_last, self._cell_last

    def backward(self, d_matrix: Array) -> Pass[None]:
        """After `forward`: turn ``d_outputs`` into the gradient of this rank's rows of the layer's matrix.

        The gradient does not flow in from beyond the last step nor out to the step before the first
        (truncated backpropagation through time)::

            dc' += dh' ⊙ o ⊙ (1 − tanh²c')      dc = dc' ⊙ f      dh = W_hᵀ·[do; di; df; dg]
            do = dh' ⊙ o ⊙ (1 − o) ⊙ tanh(c')    di = dc' ⊙ i ⊙ (1 − i) ⊙ g
            df = dc' ⊙ f ⊙ (1 − f) ⊙ c           dg = dc' ⊙ (1 − g²) ⊙ i
        """
        I, H, rows = self.input_size, self.hidden_size, self._rows.reshape(self._packed.shape)
        np.copyto(self._hidden_weights, rows[:, I : I + H].T)
        weights, one, together = self._hidden_weights, self._one, self._ranks > 1
        d_hidden, d_cell, scratch = self._d_hidden, self._d_cell, self._scratch
        d_hidden.fill(0)
        d_cell.fill(0)
        matmul, add, subtract, multiply = np.matmul, np.add, np.subtract, np.multiply
        for views, by_step in self._sweeps:
            (oif, o, i, g, g_c, cell_tanh, for_oif, for_o, for_if, for_g, for_cell, *copies) = views
            subtract(one, oif, for_oif)
            multiply(for_oif, oif, for_oif)
            multiply(for_o, cell_tanh, for_o)
            multiply(for_if, g_c, for_if)
            multiply(g, g, for_g)
            subtract(one, for_g, for_g)
            multiply(for_g, i, for_g)
            multiply(cell_tanh, cell_tanh, for_cell)
            subtract(one, for_cell, for_cell)
            multiply(for_cell, o, for_cell)
            d_outputs_from, d_outputs_to, d_gates_from, d_gates_to = copies
            np.copyto(d_outputs_to, d_outputs_from)
            for d_output, step_for_cell, d_o, d_ifg, f, d_z, (part, parts) in by_step:
                add(d_output, d_hidden, d_hidden)
                multiply(d_hidden, step_for_cell, scratch)
                add(d_cell, scratch, d_cell)
                multiply(d_o, d_hidden, d_o)
                multiply(d_ifg, d_cell, d_ifg)
                multiply(d_cell, f, d_cell)
                if together:
                    matmul(weights, d_z, part)
                    yield
                    add(parts[0], parts[1], d_hidden)
                    for other in parts[2:]:
                        add(d_hidden, other, d_hidden)
                else:
                    matmul(weights, d_z, d_hidden)
            np.copyto(d_gates_to, d_gates_from)
        matmul(self.d_gates, self._stacked.T, self._d_rows)
        np.copyto(self.own_rows(d_matrix), self._d_rows.reshape(self._rows.shape))

    def backward_inputs(self, d_inputs: Array) -> None:
        """After `backward`: write this rank's part of the gradient of ``inputs`` into `d_inputs` ``(I, T·B)``."""
        rows = self._rows.reshape(self._packed.shape)
        np.matmul(rows[:, : self.input_size].T, self.d_gates, d_inputs)
