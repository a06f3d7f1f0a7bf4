"""The GRU cell: equations, one step, and the whole-sequence kernel.

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

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..base.product import bind_product, empty_weights
from ..base.ranks import Pass, Rank
from .buffers import (
    Buffers,
    LayerSize,
    State,
    Weights,
    add_parts,
    from_torch,
    matrix_columns,
    row_items,
    sweeps,
    to_torch,
)
from .masks import Masks

__all__ = ["GRUSequence", "gru_step"]


def gru_step(weights: Weights, size: LayerSize, x: Array, state: State) -> State:
    """One step for `x` ``(I, B)`` from `state`, ``h`` ``(H, B)``: the next state."""
    (hidden,) = state
    H, split, ones = size.hidden_size, size.input_size + size.bias, np.ones((int(size.bias), x.shape[1]), x.dtype)
    from_x = weights[0][:, :split] @ np.concatenate((x, ones))
    from_h = weights[0][:, split:] @ np.concatenate((ones, hidden))
    rz = 1 / (1 + np.exp(-from_x[H:] - from_h[H:]))  # the caller silences overflow
    r, z = rz[:H], rz[H:]
    n = np.tanh(from_x[:H] + r * from_h[:H])
    return (n + z * (hidden - n),)


class GRUSequence:
    """The buffers of one layer for `T` steps of `B` lanes, and the passes over them.

    The attributes are those of `recurrio.core.cells.lstm.LSTMSequence`.
    """

    def __init__(self, steps: int, lanes: int, size: LayerSize, dtype: np.dtype, rank: Rank, arena: Arena) -> None:
        T, B, H, split = steps, lanes, size.hidden_size, size.input_size + 1
        # Four gates, n, r, z and s, of three blocks of rows: those of n are also those of s.
        self.buffers = buffers = Buffers(T, B, size, gates=4, rows=3, dtype=dtype, rank=rank, arena=arena)
        U = buffers.units.stop - buffers.units.start
        self.d_inputs_from = buffers.d_gates[: 3 * U]
        self._states: list[State] = [(hidden,) for hidden in buffers.hidden]
        self.first, self.last = self._states[0], self._states[T]
        gates = np.empty((T, 4 * U, B), dtype)
        self._one = np.array(1, dtype)
        self._scratch, self._sums = np.empty((U, B), dtype), np.empty((3 * U, B), dtype)
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of r and z.
        self._signs = np.repeat(np.array([1, -1], dtype), (U, 2 * U))[:, None]
        self._for_n, self._for_s = empty_weights(U, split, B, dtype), empty_weights(U, 1 + H, B, dtype)
        self._for_rz = empty_weights(2 * U, split + 1 + H, B, dtype)
        self._forward_steps = [
            (
                bind_product(self._for_n, buffers.by_step[t][:split], gates[t, :U]),
                bind_product(self._for_rz, buffers.by_step[t], gates[t, U : 3 * U]),
                bind_product(self._for_s, buffers.by_step[t][split:], gates[t, 3 * U :]),
                gates[t, : 3 * U],
                gates[t, :U],
                gates[t, U : 3 * U],
                gates[t, U : 2 * U],
                gates[t, 2 * U : 3 * U],
                gates[t, 3 * U :],
                buffers.hidden[t],
                buffers.hidden[t + 1],
            )
            for t in range(T)
        ]

        # Backward goes over the steps in sweeps that fit in the cache: whole-array calls for the derivative
        # factors of a sweep, then step by step. A factor becomes a gradient in place: of n, r, z, s and h, which is z.
        self._hidden_weights = empty_weights(H, 3 * U, B, dtype)
        self.d_state: State = (np.zeros((U, B), dtype),)
        self._kept: State = (np.zeros((U, B), dtype),)
        cuts = sweeps(T, 14 * U * B * dtype.itemsize)
        longest = cuts[0].stop - cuts[0].start
        factors = np.empty((longest, 5 * U, B), dtype)
        scratch, d_outputs = np.empty((longest, U, B), dtype), np.empty((longest, U, B), dtype)
        self._sweeps = []
        for now in cuts:
            n = now.stop - now.start
            views = (
                gates[now, :U],
                gates[now, U : 2 * U],
                gates[now, 2 * U : 3 * U],
                gates[now, 3 * U :],
                factors[:n, :U],
                factors[:n, U : 2 * U],
                factors[:n, 2 * U : 3 * U],
                factors[:n, 3 * U : 4 * U],
                factors[:n, 4 * U :],
                scratch[:n],
            )
            pairs = (
                (buffers.d_outputs_by_step[now], d_outputs[:n]),
                (factors[:n, : 4 * U], buffers.d_gates_by_step[now]),
            )
            copies = [row_items(array) for pair in pairs for array in pair]
            by_step = []
            for t in reversed(range(n)):
                part, parts = buffers.parts[(now.start + t) % 2]
                out = part if rank.count > 1 else self.d_state[0]
                step_product = bind_product(self._hidden_weights, factors[t, U : 4 * U], out)
                nrzsh, through = factors[t].reshape(5, U, B), factors[t, 4 * U :]
                by_step.append((now.start + t, d_outputs[t], nrzsh, through, step_product, parts))
            self._sweeps.append((now, views, copies, by_step))

    @staticmethod
    def shapes(size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters."""
        return {"matrix": (3 * size.hidden_size, matrix_columns(size))}

    @staticmethod
    def state_sizes(size: LayerSize) -> tuple[int, ...]:
        """The units of each part of the state."""
        return (size.hidden_size,)

    @staticmethod
    def to_torch(weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names, in torch's gate order (r, z, n)."""
        return to_torch(weights[0], size)

    @staticmethod
    def from_torch(weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names and in torch's gate order into a layer's."""
        from_torch(weights[0], size, named)

    def forward(
        self, weights: Weights, masks: Masks | None = None, table: Array | None = None, tokens: Array | None = None
    ) -> Pass[None]:
        """Run the layer over the inputs from ``first`` to ``last``.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(3U, V)``: the column of the token, for
        `tokens` ``(T, B)``.
        """
        buffers, signs = self.buffers, self._signs
        buffers.load_rows(weights[0])
        U, split = len(self._for_n), self._for_n.shape[1]
        np.copyto(self._for_n, buffers.rows[:U, :split])
        np.copyto(self._for_s, buffers.rows[:U, split:])
        np.multiply(buffers.rows[U:], signs[U:], out=self._for_rz)
        columns = None if table is None else table * signs
        one, scratch, sums, together = self._one, self._scratch, self._sums, buffers.ranks > 1
        states, shown = self._states, buffers.shown
        buffers.start(masks, self.first)
        yield
        exp, add, reciprocal = np.exp, np.add, np.reciprocal
        tanh, multiply, subtract = np.tanh, np.multiply, np.subtract
        # exp(−z) = inf is σ(z) = 0, which is right; the caller silences overflow.
        for t, step in enumerate(self._forward_steps):
            for_n, for_rz, for_s, nrz, n, rz, r, z, s, hidden, output = step
            for_n()
            for_rz()
            for_s()
            if columns is not None and tokens is not None:
                columns.take(tokens[t], 1, sums, "clip")
                add(nrz, sums, nrz)
            exp(rz, rz)
            add(rz, one, rz)
            reciprocal(rz, rz)
            multiply(r, s, scratch)
            add(n, scratch, n)
            tanh(n, n)
            subtract(hidden, n, scratch)
            multiply(z, scratch, scratch)
            add(n, scratch, output)
            if masks is not None:
                masks.hold(t, states[t], states[t + 1], shown[t])
            if together:
                yield

    def backward(self) -> Pass[None]:
        """After `forward`: turn the gradient of the outputs into those of this rank's gates and of the state.

        Every gate's gradient is ``dh'`` times a factor that the forward pass knows::

            dn = dh' ⊙ (1 − z) ⊙ (1 − n²)      dz = dh' ⊙ (h − n) ⊙ z ⊙ (1 − z)
            ds = dn ⊙ r                         dr = dn ⊙ s ⊙ r ⊙ (1 − r)
            dh = dh' ⊙ z + W_hᵀ·[dr; dz; ds]
        """
        buffers, masks, kept, d_state = self.buffers, self.buffers.masks, self._kept, self.d_state
        U, split = len(self._for_n), self._for_n.shape[1]
        hidden_weights, one, together = self._hidden_weights, self._one, buffers.ranks > 1
        np.copyto(hidden_weights[:, : 2 * U], buffers.rows[U:, split + 1 :].T)
        np.copyto(hidden_weights[:, 2 * U :], buffers.rows[:U, split + 1 :].T)
        (d_hidden,) = d_state
        buffers.start_backward()
        add, subtract, multiply = np.add, np.subtract, np.multiply
        for now, views, copies, by_step in self._sweeps:
            n, r, z, s, for_n, for_r, for_z, for_s, for_h, scratch = views
            np.copyto(for_h, z)
            subtract(one, z, scratch)
            multiply(n, n, for_n)
            subtract(one, for_n, for_n)
            multiply(for_n, scratch, for_n)
            subtract(buffers.hidden_by_step[now], n, for_z)
            multiply(for_z, z, for_z)
            multiply(for_z, scratch, for_z)
            multiply(for_n, r, for_s)
            subtract(one, r, for_r)
            multiply(for_r, s, for_r)
            multiply(for_r, for_s, for_r)
            d_outputs_from, d_outputs_to, d_gates_from, d_gates_to = copies
            np.copyto(d_outputs_to, d_outputs_from)
            for t, d_output, d_nrzsh, through, step_product, parts in by_step:
                if masks is not None:
                    masks.take_back(t, d_state, kept)
                add(d_output, d_hidden, d_hidden)
                multiply(d_nrzsh, d_hidden, d_nrzsh)
                step_product()
                if together:
                    yield
                    add_parts(parts, d_hidden)
                add(d_hidden, through, d_hidden)
                if masks is not None:
                    masks.give_back(t, d_state, kept)
            np.copyto(d_gates_to, d_gates_from)
        if masks is not None:
            masks.finish(d_state)

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of this rank's rows of the parameters."""
        buffers, (U, split) = self.buffers, self._for_n.shape
        d_gates, stacked, d_rows = buffers.d_gates, buffers.stacked, buffers.d_rows
        np.matmul(d_gates[U : 3 * U], stacked.T, d_rows[U:])
        np.matmul(d_gates[:U], stacked[:split].T, d_rows[:U, :split])
        np.matmul(d_gates[3 * U :], stacked[split:].T, d_rows[:U, split:])
        buffers.store_rows(d_weights[0])
