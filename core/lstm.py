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

    Every array and every per-step view is made here, once; the passes allocate nothing. What the other layers
    see is feature-major over the whole sequence:

    - ``inputs`` ``(I, T, B)``: written by the caller before `forward`.
    - ``outputs`` ``(H, T·B)``: ``h'`` of every step.
    - ``outputs_and_one`` ``(H+1, T·B)``: the same above a row of ones, for a linear layer with a bias.
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
        products = np.empty((T, 2 * H, B), dtype)  # i ⊙ g and f ⊙ c
        cell_tanh = np.empty((T, H, B), dtype)  # tanh(c')
        self._packed = np.empty((4 * H, K), dtype)
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
                products[t],
                products[t, :H],
                products[t, H:],
                gates[t + 1, 4 * H :],
                cell_tanh[t],
                gates[t, :H],
                stacked[I : I + H, t + 1],
            )
            for t in range(T)
        ]

        # Backward: d_gates is (4H, T·B) with rows T+1 steps long, which keeps a row off a power of two.
        d_gates = np.empty((4 * H, T + 1, B), dtype)
        self._d_gates = d_gates.reshape(4 * H, (T + 1) * B)[:, : T * B]
        self._d_outputs = np.empty((H, T, B), dtype)
        self.d_outputs = self._d_outputs.reshape(H, T * B)
        self._hidden_weights = np.empty((H, 4 * H), dtype)
        self._d_hidden, self._d_cell = np.empty((H, B), dtype), np.empty((H, B), dtype)
        self._scratch = np.empty((H, B), dtype)
        sweep = max(1, CACHE_BYTES // (13 * H * B * dtype.itemsize))
        factors = np.empty((sweep, 4 * H, B), dtype)  # d gate before its activation / d h' (o) or d c' (i, f, g)
        cell_factors = np.empty((sweep, H, B), dtype)  # d c' / d h'
        self._sweeps = []
        for stop in range(T, 0, -sweep):
            start = max(0, stop - sweep)
            n = stop - start
            now = slice(start, stop)
            views = (
                gates[now, : 3 * H],
                gates[now, :H],
                gates[now, H : 2 * H],
                gates[now, 3 * H : 4 * H],
                stacked[I : I + H, start + 1 : stop + 1].transpose(1, 0, 2),
                products[now],
                products[now, :H],
                cell_tanh[now],
                factors[:n, : 3 * H],
                factors[:n, :H],
                factors[:n, H : 3 * H],
                factors[:n, 3 * H :],
                cell_factors[:n],
            )
            by_step = [
                (
                    self._d_outputs[:, t],
                    cell_factors[t - start],
                    factors[t - start, :H],
                    factors[t - start, H:].reshape(3, H, B),
                    gates[t, 2 * H : 3 * H],
                    d_gates[:H, t],
                    d_gates[H:, t].reshape(3, H, B),
                    d_gates[:, t],
                )
                for t in reversed(range(start, stop))
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

    def forward(self, matrix: Array, state: LSTMState) -> None:
        """Run the layer over ``inputs`` from `state`, and leave the state after the last step in `state`."""
        np.multiply(matrix, self._signs, out=self._packed)
        self._hidden_first[...], self._cell_first[...] = state
        packed, one = self._packed, self._one
        matmul, exp, add, reciprocal = np.matmul, np.exp, np.add, np.reciprocal
        tanh, multiply = np.tanh, np.multiply
        with np.errstate(over="ignore"):  # exp(−z) = inf is σ(z) = 0, which is right
            for x, z, oif, g, i_f, g_c, ig_fc, ig, fc, cell, cell_tanh, o, hidden in self._forward_steps:
                matmul(packed, x, z)
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
            do = dh' ⊙ h' ⊙ (1 − o)              di = dc' ⊙ (i ⊙ g) ⊙ (1 − i)
            df = dc' ⊙ (f ⊙ c) ⊙ (1 − f)         dg = dc' ⊙ (i − (i ⊙ g) ⊙ g)
        """
        I, H = self.input_size, self.hidden_size
        np.positive(matrix[:, I : I + H].T, out=self._hidden_weights)
        weights, one = self._hidden_weights, self._one
        d_hidden, d_cell, scratch = self._d_hidden, self._d_cell, self._scratch
        d_hidden.fill(0)
        d_cell.fill(0)
        matmul, add, subtract, multiply = np.matmul, np.add, np.subtract, np.multiply
        for views, by_step in self._sweeps:
            oif, o, i, g, hidden, ig_fc, ig, cell_tanh, for_oif, for_o, for_if, for_g, for_cell = views
            subtract(one, oif, for_oif)
            multiply(for_o, hidden, for_o)
            multiply(for_if, ig_fc, for_if)
            multiply(ig, g, for_g)
            subtract(i, for_g, for_g)
            multiply(hidden, cell_tanh, for_cell)
            subtract(o, for_cell, for_cell)
            for d_output, step_for_cell, step_for_o, step_for_ifg, f, d_o, d_ifg, d_z in by_step:
                add(d_output, d_hidden, d_hidden)
                multiply(d_hidden, step_for_cell, scratch)
                add(d_cell, scratch, d_cell)
                multiply(step_for_o, d_hidden, d_o)
                multiply(step_for_ifg, d_cell, d_ifg)
                multiply(d_cell, f, d_cell)
                matmul(weights, d_z, d_hidden)
        matmul(self._d_gates, self._stacked.T, d_matrix)

    def backward_inputs(self, matrix: Array, d_inputs: Array) -> None:
        """After `backward`: write the gradient of ``inputs`` into `d_inputs` ``(I, T·B)``."""
        np.matmul(matrix[:, : self.input_size].T, self._d_gates, d_inputs)
