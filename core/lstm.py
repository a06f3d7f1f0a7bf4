"""The LSTM cell: equations, one step, and the whole-sequence kernel.

For one step, with ``x`` ``(I, B)``, ``h`` and ``c`` ``(H, B)``, ``σ`` the logistic sigmoid and ``⊙`` the
element-wise product::

    o = σ(W_o·[x; 1; 1; h])     i = σ(W_i·[x; 1; 1; h])
    f = σ(W_f·[x; 1; 1; h])     g = tanh(W_g·[x; 1; 1; h])
    c' = i ⊙ g + f ⊙ c          h' = o ⊙ tanh(c')

and, with a projection to P units, ``h' = W_hr·(o ⊙ tanh(c'))``, so that ``h`` is ``(P, B)``.

The parameters are one matrix ``W`` ``(4H, I+2+P)``, and ``W_hr`` ``(P, H)``. The rows of ``W`` are the gates in the
order **o, i, f, g**; its columns are ``[weight_ih | bias_ih | bias_hh | weight_hh]``. A step is one product and the
gradient of ``W`` is one product. torch orders the gates i, f, g, o, which is this order rolled by one.

Source of the equations: Hochreiter and Schmidhuber, "Long short-term memory" (1997), with the forget gate of Gers et
al. (2000) and the projection of Sak et al. (2014), as in ``torch.nn.LSTM``.
"""

from __future__ import annotations

import numpy as np

from .masks import Masks
from .parameters import Array
from .ranks import Arena, Pass, Rank
from .sequence import (
    Buffers,
    LayerSize,
    State,
    Weights,
    from_torch,
    matrix_columns,
    product,
    row_items,
    sweeps,
    to_torch,
)

__all__ = ["LSTMSequence", "lstm_step"]


def lstm_step(weights: Weights, size: LayerSize, x: Array, state: State) -> State:
    """One step for `x` ``(I, B)`` from `state`, ``h`` ``(P, B)`` and ``c`` ``(H, B)``: the next state."""
    hidden, cell = state
    ones = np.ones((2 * size.bias, x.shape[1]), x.dtype)
    z = weights[0] @ np.concatenate((x, ones, hidden))
    H = size.hidden_size
    oif, g = 1 / (1 + np.exp(-z[: 3 * H])), np.tanh(z[3 * H :])  # the caller silences overflow
    next_cell = oif[H : 2 * H] * g + oif[2 * H :] * cell
    output = oif[:H] * np.tanh(next_cell)
    return (weights[1] @ output if size.proj_size else output), next_cell


class LSTMSequence:
    """The buffers of one layer for `T` steps of `B` lanes, and the forward and backward passes over them.

    Every array and every per-step view is made here, once; the loops over time allocate nothing. ``buffers`` is what
    the other layers see. For this rank's units, ``first`` and ``last`` are the state before the first step, which the
    caller writes, and after the last; ``d_state`` is, before `backward`, the gradient of ``last``, and after it that
    of ``first``. ``d_inputs_from`` is the part of the gates' gradients that the inputs have a share in.
    """

    gates = 4

    def __init__(self, steps: int, lanes: int, size: LayerSize, dtype: np.dtype, rank: Rank, arena: Arena) -> None:
        T, B, P = steps, lanes, size.output_size
        self.buffers = buffers = Buffers(T, B, size, gates=4, rows=4, dtype=dtype, rank=rank, arena=arena)
        U = buffers.units.stop - buffers.units.start
        self.d_inputs_from = buffers.d_gates

        # gates[t] is o, i, f, g, c_t, one behind the other, so that what is used together is contiguous.
        gates = np.zeros((T + 1, 5 * U, B), dtype)
        cells = gates[:, 4 * U :]
        products = np.empty((2 * U, B), dtype)  # i ⊙ g and f ⊙ c
        cell_tanh = np.empty((T, U, B), dtype)  # tanh(c')
        self._states: list[State] = [(buffers.hidden[t], cells[t]) for t in range(T + 1)]
        self.first, self.last = self._states[0], self._states[T]
        self._projection = np.empty((size.proj_size, size.hidden_size), dtype)
        # With a projection: o ⊙ tanh(c') and dh' of every step, for the gradient of W_hr.
        raw, d_projected = (np.empty((units, T + 1, B), dtype) for units in ((U, P) if size.proj_size else (0, 0)))
        self._raw, self._d_projected = (array.reshape(-1, (T + 1) * B)[:, : T * B] for array in (raw, d_projected))
        self._raw_by_step, self._d_projected_by_step = raw.transpose(1, 0, 2), d_projected.transpose(1, 0, 2)

        self._packed = np.empty_like(buffers.rows)
        self._sums = np.empty((4 * U, B), dtype)
        self._one, self._product = np.array(1, dtype), product(B)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of o, i and f.
        self._signs = np.repeat(np.array([-1, 1], dtype), (3 * U, U))[:, None]
        self._forward_steps = [
            (
                buffers.by_step[t],
                gates[t, : 4 * U],
                gates[t, : 3 * U],
                gates[t, 3 * U : 4 * U],
                gates[t, U : 3 * U],
                gates[t, 3 * U :],
                products,
                products[:U],
                products[U:],
                cells[t + 1],
                cell_tanh[t],
                gates[t, :U],
                self._raw_by_step[t] if size.proj_size else buffers.hidden[t + 1],
            )
            for t in range(T)
        ]

        # Backward goes over the steps in sweeps that fit in the cache: whole-array calls for the derivative
        # factors of a sweep, then step by step. A factor becomes a gradient in place: those of dh' are the factors
        # of tanh(c') and o, those of dc' the factors of i, f, g and c, which is f.
        self._hidden_weights = np.empty((P, 4 * U), dtype)
        d_hidden = np.zeros((buffers.own.stop - buffers.own.start, B), dtype)
        self.d_state: State = (d_hidden, np.zeros((U, B), dtype))
        self._kept: State = (np.zeros_like(d_hidden), np.zeros((U, B), dtype))
        self._d_raw = np.empty((U, B), dtype) if size.proj_size else d_hidden
        cuts = sweeps(T, 16 * U * B * dtype.itemsize)
        longest = cuts[0].stop - cuts[0].start
        factors = np.empty((longest, 6 * U, B), dtype)
        d_outputs = np.empty((longest, len(d_hidden), B), dtype)
        self._sweeps = []
        for now in cuts:
            n = now.stop - now.start
            views = (
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
                row_items(factors[:n, U : 5 * U]),
                row_items(buffers.d_gates_by_step[now]),
            )
            by_step = [
                (
                    now.start + t,
                    d_outputs[t],
                    factors[t, U : 2 * U],
                    factors[t, :U],
                    self.d_state[1] if t == n - 1 else factors[t + 1, 5 * U :],
                    factors[t, 2 * U :].reshape(4, U, B),
                    factors[t, U : 5 * U],
                    buffers.parts[(now.start + t) % 2],
                )
                for t in reversed(range(n))
            ]
            self._sweeps.append((views, by_step))

    @staticmethod
    def shapes(size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters: its matrix, and its projection if it has one."""
        shapes = {"matrix": (4 * size.hidden_size, matrix_columns(size))}
        return shapes | ({"projection": (size.proj_size, size.hidden_size)} if size.proj_size else {})

    @staticmethod
    def state_sizes(size: LayerSize) -> tuple[int, ...]:
        """The units of each part of the state."""
        return size.output_size, size.hidden_size

    @staticmethod
    def to_torch(weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names, in torch's gate order (i, f, g, o)."""
        named = to_torch(weights[0], size)
        return named | ({"weight_hr": weights[1].copy()} if size.proj_size else {})

    @staticmethod
    def from_torch(weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names and in torch's gate order into a layer's."""
        from_torch(weights[0], size, named)
        if size.proj_size:
            weights[1][...] = named["weight_hr"]

    def forward(
        self, weights: Weights, masks: Masks | None = None, table: Array | None = None, tokens: Array | None = None
    ) -> Pass[None]:
        """Run the layer over the inputs from ``first`` to ``last``.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(4U, V)``: the column of the token,
        for `tokens` ``(T, B)``.
        """
        buffers, signs = self.buffers, self._signs
        buffers.load_rows(weights[0])
        np.multiply(buffers.rows, signs, out=self._packed)
        columns = None if table is None else table * signs
        projection = None
        if buffers.size.proj_size:
            projection = self._projection
            np.copyto(projection, weights[1])
        sums, together, states, shown = self._sums, buffers.ranks > 1, self._states, buffers.shown
        buffers.start(masks, self.first)
        yield
        packed, one = self._packed, self._one
        matmul, exp, add, reciprocal = self._product, np.exp, np.add, np.reciprocal
        tanh, multiply = np.tanh, np.multiply
        # exp(−z) = inf is σ(z) = 0, which is right; the caller silences overflow.
        for t, step in enumerate(self._forward_steps):
            x, z, oif, g, i_f, g_c, ig_fc, ig, fc, cell, cell_tanh, o, output = step
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
            multiply(o, cell_tanh, output)
            if projection is not None:
                np.matmul(projection, output, states[t + 1][0])
            if masks is not None:
                masks.hold(t, states[t], states[t + 1], shown[t])
            if together:
                yield

    def backward(self) -> Pass[None]:
        """After `forward`: turn the gradient of the outputs into those of this rank's gates and of the state.

        ::

            dc' += dh' ⊙ o ⊙ (1 − tanh²c')      dc = dc' ⊙ f      dh = W_hᵀ·[do; di; df; dg]
            do = dh' ⊙ o ⊙ (1 − o) ⊙ tanh(c')    di = dc' ⊙ i ⊙ (1 − i) ⊙ g
            df = dc' ⊙ f ⊙ (1 − f) ⊙ c           dg = dc' ⊙ (1 − g²) ⊙ i

        and with a projection ``W_hrᵀ·dh'`` in the place of ``dh'``.
        """
        buffers, masks, kept, d_state = self.buffers, self.buffers.masks, self._kept, self.d_state
        projection = self._projection.T if buffers.size.proj_size else None
        np.copyto(self._hidden_weights, buffers.rows[:, buffers.size.input_size + 2 :].T)
        hidden_weights, one, together = self._hidden_weights, self._one, buffers.ranks > 1
        (d_hidden, d_cell), d_raw = d_state, self._d_raw
        buffers.start_backward()
        matmul, add, subtract, multiply = self._product, np.add, np.subtract, np.multiply
        for views, by_step in self._sweeps:
            (oif, o, i, f, g, g_c, cell_tanh, for_oif, for_o, for_if, for_g, for_cell, for_c, *copies) = views
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
            np.copyto(for_c, f)
            d_outputs_from, d_outputs_to, d_gates_from, d_gates_to = copies
            np.copyto(d_outputs_to, d_outputs_from)
            for t, d_output, d_o, through_tanh, d_next_cell, ifg_c, d_z, (part, parts) in by_step:
                if masks is not None:
                    masks.take_back(t, (d_hidden, d_next_cell), kept)
                add(d_output, d_hidden, d_hidden)
                if projection is not None:
                    np.copyto(self._d_projected_by_step[t], d_hidden)
                    matmul(projection, d_hidden, d_raw)
                multiply(d_o, d_raw, d_o)  # two calls, because one that broadcasts takes longer
                multiply(through_tanh, d_raw, through_tanh)
                add(d_next_cell, through_tanh, d_cell)
                multiply(ifg_c, d_cell, ifg_c)
                if together:
                    matmul(hidden_weights, d_z, part)
                    yield
                    add(parts[0], parts[1], d_hidden)
                    for other in parts[2:]:
                        add(d_hidden, other, d_hidden)
                else:
                    matmul(hidden_weights, d_z, d_hidden)
                if masks is not None:
                    masks.give_back(t, (d_hidden, ifg_c[3]), kept)
            np.copyto(d_cell, for_c[0])
            np.copyto(d_gates_to, d_gates_from)
        if masks is not None:
            masks.finish(d_state)

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of this rank's rows of the parameters."""
        buffers = self.buffers
        np.matmul(buffers.d_gates, buffers.stacked.T, buffers.d_rows)
        buffers.store_rows(d_weights[0])
        if buffers.size.proj_size:
            np.matmul(self._d_projected, self._raw.T, d_weights[1])
