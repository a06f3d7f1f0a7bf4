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

__all__ = ["LSTMSequence", "LSTMState"]

GATES = 4
CACHE_BYTES = 1 << 18  # what one sweep over the derivative factors may touch: half of a small L2 cache


class LSTMState(NamedTuple):
    """What a layer carries from one sequence batch to the next: two arrays ``(H, B)``."""

    hidden: Array
    cell: Array


class LSTMSequence:
    """The buffers of one layer for `T` steps of `B` lanes, and the forward and backward passes over them.

    Every array and every per-step view is made here, once; the loops over time allocate nothing. What the other
    layers see is feature-major over the whole sequence:

    - ``inputs`` ``(I, T, B)``: written by the caller before `forward`.
    - ``outputs`` ``(H, T·B)``: ``h'`` of every step.
    - ``outputs_and_one`` ``(H+1, T·B)``: the same above a row of ones, for a linear layer with a bias.
    - ``d_outputs`` ``(H, T·B)``: written by the caller before `backward`.
    - ``d_gates`` ``(4H, T·B)``: after `backward`, the gradient before the activations, of o, i, f, g.
    """

    def __init__(self, steps: int, lanes: int, input_size: int, hidden_size: int, dtype: np.dtype) -> None:
        T, B, I, H = steps, lanes, input_size, hidden_size
        K = I + H + 2
        self.steps, self.lanes, self.input_size, self.hidden_size = T, B, I, H

        # Columns t·B … of `stacked` are [x_t; h_t; 1; 1]; h_{t+1} is written straight into its place.
        stacked = np.zeros((K, T + 1, B), dtype)
        stacked[I + H :] = 1
        flat = stacked.reshape(K, (T + 1) * B)
        self.inputs = stacked[:I, :T]
        self.outputs = flat[I : I + H, B:]
        self.outputs_and_one = flat[I : I + H + 1, B:]
        self._stacked = flat[:, : T * B]
        self._hidden_first, self._hidden_last = stacked[I : I + H, 0], stacked[I : I + H, T]

        # gates[t] is o, i, f, g, c_t, one behind the other, so that what is used together is contiguous.
        gates = np.zeros((T + 1, 5 * H, B), dtype)
        self._cell_first, self._cell_last = gates[0, 4 * H :], gates[T, 4 * H :]
        products = np.empty((2 * H, B), dtype)  # i ⊙ g and f ⊙ c
        cell_tanh = np.empty((T, H, B), dtype)  # tanh(c')
        self._packed = np.empty((4 * H, K), dtype)
        self._sums = np.empty((4 * H, B), dtype)
        self._one = np.array(1, dtype)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of o, i and f.
        self._signs = np.repeat(np.array([-1, 1], dtype), (3 * H, H))[:, None]
        self._forward_steps = [
            (
                stacked[:, t],
                gates[t, : 4 * H],
                gates[t, : 3 * H],
                gates[t, 3 * H : 4 * H],
                gates[t, H : 3 * H],
                gates[t, 3 * H :],
                products,
                products[:H],
                products[H:],
                gates[t + 1, 4 * H :],
                cell_tanh[t],
                gates[t, :H],
                stacked[I : I + H, t + 1],
            )
            for t in range(T)
        ]

        # Backward goes over the steps in sweeps that fit in the cache: whole-array calls for the derivative
        # factors of a sweep, then step by step. A factor becomes the gradient of its gate in place.
        d_gates = np.empty((4 * H, T + 1, B), dtype)  # a step too long, which keeps rows off a power of two
        self.d_gates = d_gates.reshape(4 * H, (T + 1) * B)[:, : T * B]
        self.d_outputs = np.empty((H, T * B), dtype)
        d_gates_by_step = d_gates[:, :T].transpose(1, 0, 2)
        d_outputs_by_step = self.d_outputs.reshape(H, T, B).transpose(1, 0, 2)
        self._hidden_weights = np.empty((H, 4 * H), dtype)
        self._d_hidden, self._d_cell = np.empty((H, B), dtype), np.empty((H, B), dtype)
        self._scratch = np.empty((H, B), dtype)
        sweep = min(T, max(1, CACHE_BYTES // (14 * H * B * dtype.itemsize)))
        factors = np.empty((sweep, 4 * H, B), dtype)
        cell_factors = np.empty((sweep, H, B), dtype)
        d_outputs = np.empty((sweep, H, B), dtype)
        self._sweeps = []
        for stop in range(T, 0, -sweep):
            start = max(0, stop - sweep)
            n, now = stop - start, slice(start, stop)
            views = (
                gates[now, : 3 * H],
                gates[now, :H],
                gates[now, H : 2 * H],
                gates[now, 3 * H : 4 * H],
                gates[now, 3 * H :],
                cell_tanh[now],
                factors[:n, : 3 * H],
                factors[:n, :H],
                factors[:n, H : 3 * H],
                factors[:n, 3 * H :],
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
                    factors[t, :H],
                    factors[t, H:].reshape(3, H, B),
                    gates[start + t, 2 * H : 3 * H],
                    factors[t],
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
    def initial_state(lanes: int, hidden_size: int, dtype: np.dtype) -> LSTMState:
        """A state of zeros."""
        return LSTMState(np.zeros((hidden_size, lanes), dtype), np.zeros((hidden_size, lanes), dtype))

    def forward(self, matrix: Array, state: LSTMState, table: Array | None = None, tokens: Array | None = None) -> None:
        """Run the layer over ``inputs`` from `state`, and leave the state after the last step in `state`.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(4H, V)``: the column of the token,
        for `tokens` ``(T, B)``.
        """
        np.multiply(matrix, self._signs, out=self._packed)
        columns = None if table is None else table * self._signs
        sums = self._sums
        self._hidden_first[...], self._cell_first[...] = state
        packed, one = self._packed, self._one
        matmul, exp, add, reciprocal = np.matmul, np.exp, np.add, np.reciprocal
        tanh, multiply = np.tanh, np.multiply
        with np.errstate(over="ignore"):  # exp(−z) = inf is σ(z) = 0, which is right
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
        state.hidden[...], state.cell[...] = self._hidden_last, self._cell_last

    def backward(self, matrix: Array, d_matrix: Array) -> None:
        """Turn ``d_outputs`` ``(H, T·B)`` into the gradient `d_matrix` of the layer's matrix.

        The gradient does not flow in from beyond the last step nor out to the step before the first
        (truncated backpropagation through time)::

            dc' += dh' ⊙ o ⊙ (1 − tanh²c')      dc = dc' ⊙ f      dh = W_hᵀ·[do; di; df; dg]
            do = dh' ⊙ o ⊙ (1 − o) ⊙ tanh(c')    di = dc' ⊙ i ⊙ (1 − i) ⊙ g
            df = dc' ⊙ f ⊙ (1 − f) ⊙ c           dg = dc' ⊙ (1 − g²) ⊙ i
        """
        I, H = self.input_size, self.hidden_size
        np.positive(matrix[:, I : I + H].T, out=self._hidden_weights)
        weights, one = self._hidden_weights, self._one
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
            for d_output, step_for_cell, d_o, d_ifg, f, d_z in by_step:
                add(d_output, d_hidden, d_hidden)
                multiply(d_hidden, step_for_cell, scratch)
                add(d_cell, scratch, d_cell)
                multiply(d_o, d_hidden, d_o)
                multiply(d_ifg, d_cell, d_ifg)
                multiply(d_cell, f, d_cell)
                matmul(weights, d_z, d_hidden)
            np.copyto(d_gates_to, d_gates_from)
        matmul(self.d_gates, self._stacked.T, d_matrix)

    def backward_inputs(self, matrix: Array, d_inputs: Array) -> None:
        """After `backward`: write the gradient of ``inputs`` into `d_inputs` ``(I, T·B)``."""
        np.matmul(matrix[:, : self.input_size].T, self.d_gates, d_inputs)
