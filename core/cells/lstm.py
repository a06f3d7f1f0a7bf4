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

from ..base import compiled
from ..base.arena import Arena
from ..base.parameters import Array
from ..base.product import bind_product, empty_weights, multiply
from ..base.ranks import Pass, Rank
from .buffers import Buffers, LayerSize, State, Weights, add_parts, from_torch, matrix_columns, to_torch
from .lstm_compiled import Compiled
from .lstm_numpy import Plain, Surroundings
from .masks import Masks

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

    def __init__(self, steps: int, lanes: int, size: LayerSize, dtype: np.dtype, rank: Rank, arena: Arena) -> None:
        T, B, P = steps, lanes, size.output_size
        self._is_compiled = is_compiled = compiled.has("lstm_forward", dtype) and not size.proj_size
        self.buffers = buffers = Buffers(
            T, B, size, gates=4, rows=4, dtype=dtype, rank=rank, arena=arena, by_lane=is_compiled
        )
        U = buffers.units.stop - buffers.units.start
        self.d_inputs_from = buffers.d_gates

        d_hidden = np.zeros((buffers.own.stop - buffers.own.start, B), dtype)
        self.d_state: State = (d_hidden, np.zeros((U, B), dtype))
        self._kept: State = (np.zeros_like(d_hidden), np.zeros((U, B), dtype))
        # With a projection: o ⊙ tanh(c') and dh' of every step, for the gradient of W_hr.
        self._projection = np.empty((size.proj_size, size.hidden_size), dtype)
        raw, d_projected = (np.empty((units, T + 1, B), dtype) for units in ((U, P) if size.proj_size else (0, 0)))
        self._raw, self._d_projected = (array.reshape(-1, (T + 1) * B)[:, : T * B] for array in (raw, d_projected))
        self._raw_by_step = list(raw.transpose(1, 0, 2)[:T])
        around = Surroundings(
            (T, U, B),
            buffers,
            outputs=self._raw_by_step if size.proj_size else buffers.hidden[1:],
            d_hidden=d_hidden,
            d_cell=self.d_state[1],
            d_raw=np.empty((U, B), dtype) if size.proj_size else d_hidden,
            projection=self._projection,
            d_projected=list(d_projected.transpose(1, 0, 2)[:T]) if size.proj_size else [],
        )
        elements = Compiled(around) if is_compiled else Plain(around)
        self._states: list[State] = list(zip(buffers.hidden, elements.cells, strict=True))
        self.first, self.last = self._states[0], self._states[T]

        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of o, i and f.
        self._signs = np.repeat(np.array([-1, 1], dtype), (3 * U, U))[:, None]
        self._packed = empty_weights(4 * U, buffers.rows.shape[1], B, dtype)
        self._hidden_weights = empty_weights(P, 4 * U, B, dtype)
        self._sums = np.empty((4 * U, B), dtype)
        self._forward_steps = [
            (bind_product(self._packed, x, z), z, activate)
            for x, z, activate in zip(buffers.by_step, elements.z, elements.forward, strict=True)
        ]
        self._sweeps = []
        for before, steps_back, after in elements.backward:
            by_step = []
            for t, d_next_cell, differentiate, d_z, d_cell in steps_back:
                part, parts = buffers.parts[t % 2]
                step_product = bind_product(self._hidden_weights, d_z, part if rank.count > 1 else d_hidden)
                by_step.append((t, d_next_cell, differentiate, step_product, d_cell, parts))
            self._sweeps.append((before, by_step, after))

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
        for t, (step_product, z, activate) in enumerate(self._forward_steps):
            step_product()
            if columns is not None and tokens is not None:
                columns.take(tokens[t], 1, sums, "clip")
                np.add(z, sums, z)
            activate()
            if projection is not None:
                np.matmul(projection, self._raw_by_step[t], states[t + 1][0])
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
        np.copyto(self._hidden_weights, buffers.rows[:, buffers.size.input_size + 2 :].T)
        d_hidden, together = d_state[0], buffers.ranks > 1
        buffers.start_backward()
        for before, by_step, after in self._sweeps:
            before()
            for t, d_next_cell, differentiate, step_product, d_cell, parts in by_step:
                if masks is not None:
                    masks.take_back(t, (d_hidden, d_next_cell), kept)
                differentiate()
                step_product()
                if together:
                    yield
                    add_parts(parts, d_hidden)
                if masks is not None:
                    masks.give_back(t, (d_hidden, d_cell), kept)
            after()
        if masks is not None:
            masks.finish(d_state)

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of this rank's rows of the parameters."""
        buffers = self.buffers
        if self._is_compiled:
            multiply(buffers.stacked, buffers.d_gates.T, buffers.d_rows.T)
        else:
            np.matmul(buffers.d_gates, buffers.stacked.T, buffers.d_rows)
        buffers.store_rows(d_weights[0])
        if buffers.size.proj_size:
            np.matmul(self._d_projected, self._raw.T, d_weights[1])
