"""The simple recurrent cell (Elman): equations, one step, and the whole-sequence kernel.

For one step, with ``x`` ``(I, B)`` and ``h`` ``(H, B)``::

    h' = φ(W·[x; 1; 1; h])

where φ is ``tanh``, ``relu`` or the logistic ``sigmoid``. The parameters are one matrix ``W`` ``(H, I+2+H)`` with the
columns ``[weight_ih | bias_ih | bias_hh | weight_hh]``.

Source of the equations: Elman, "Finding structure in time" (1990), as in ``torch.nn.RNN``.
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

__all__ = ["NONLINEARITIES", "RNNSequence", "rnn_step"]

NONLINEARITIES = ("tanh", "relu", "sigmoid")


def rnn_step(weights: Weights, size: LayerSize, x: Array, state: State, nonlinearity: str = "tanh") -> State:
    """One step for `x` ``(I, B)`` from `state`, ``h`` ``(H, B)``: the next state."""
    ones = np.ones((2 * size.bias, x.shape[1]), x.dtype)
    z = weights[0] @ np.concatenate((x, ones, state[0]))
    if nonlinearity == "relu":
        return (np.maximum(z, 0),)
    return (np.tanh(z) if nonlinearity == "tanh" else 1 / (1 + np.exp(-z)),)  # the caller silences overflow


class RNNSequence:
    """The buffers of one layer for `T` steps of `B` lanes, and the passes over them.

    The attributes are those of `recurrio.core.cells.lstm.LSTMSequence`.
    """

    def __init__(
        self,
        steps: int,
        lanes: int,
        size: LayerSize,
        dtype: np.dtype,
        rank: Rank,
        arena: Arena,
        nonlinearity: str = "tanh",
    ) -> None:
        T, B, H = steps, lanes, size.hidden_size
        self.buffers = buffers = Buffers(T, B, size, gates=1, rows=1, dtype=dtype, rank=rank, arena=arena)
        U = buffers.units.stop - buffers.units.start
        self.d_inputs_from = buffers.d_gates
        self._nonlinearity = nonlinearity
        self._states: list[State] = [(hidden,) for hidden in buffers.hidden]
        self.first, self.last = self._states[0], self._states[T]
        self._z, self._sums = np.empty((U, B), dtype), np.empty((U, B), dtype)
        self._one = np.array(1, dtype)
        self._packed = empty_weights(U, buffers.rows.shape[1], B, dtype)
        self._products = [bind_product(self._packed, x, self._z) for x in buffers.by_step]

        self._hidden_weights = empty_weights(H, U, B, dtype)
        self.d_state: State = (np.zeros((U, B), dtype),)
        self._kept: State = (np.zeros((U, B), dtype),)
        cuts = sweeps(T, 4 * U * B * dtype.itemsize)
        longest = cuts[0].stop - cuts[0].start
        factors, scratch, d_outputs = (np.empty((longest, U, B), dtype) for _ in range(3))
        self._sweeps = []
        for now in cuts:
            n = now.stop - now.start
            whole = (now, factors[:n], scratch[:n], d_outputs[:n])
            by_step = []
            for t in reversed(range(n)):
                part, parts = buffers.parts[(now.start + t) % 2]
                step_product = bind_product(
                    self._hidden_weights, factors[t], part if rank.count > 1 else self.d_state[0]
                )
                by_step.append((now.start + t, d_outputs[t], factors[t], step_product, parts))
            self._sweeps.append((whole, by_step))

    @staticmethod
    def shapes(size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters."""
        return {"matrix": (size.hidden_size, matrix_columns(size))}

    @staticmethod
    def state_sizes(size: LayerSize) -> tuple[int, ...]:
        """The units of each part of the state."""
        return (size.hidden_size,)

    @staticmethod
    def to_torch(weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names."""
        return to_torch(weights[0], size)

    @staticmethod
    def from_torch(weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names into a layer's."""
        from_torch(weights[0], size, named)

    def forward(
        self, weights: Weights, masks: Masks | None = None, table: Array | None = None, tokens: Array | None = None
    ) -> Pass[None]:
        """Run the layer over the inputs from ``first`` to ``last``.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(U, V)``: the column of the token, for
        `tokens` ``(T, B)``.
        """
        buffers, relu, logistic = self.buffers, self._nonlinearity == "relu", self._nonlinearity == "sigmoid"
        buffers.load_rows(weights[0])
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows.
        np.multiply(buffers.rows, -1 if logistic else 1, out=self._packed)
        columns = -table if logistic and table is not None else table
        z, sums, one, together = self._z, self._sums, self._one, buffers.ranks > 1
        states, shown = self._states, buffers.shown
        buffers.start(masks, self.first)
        yield
        add, tanh, exp = np.add, np.tanh, np.exp
        for t, step_product in enumerate(self._products):
            hidden = states[t + 1][0]
            step_product()
            if columns is not None and tokens is not None:
                columns.take(tokens[t], 1, sums, "clip")
                add(z, sums, z)
            if logistic:
                exp(z, z)
                add(z, one, z)
                np.reciprocal(z, hidden)
            elif relu:
                np.maximum(z, 0, out=hidden)
            else:
                tanh(z, hidden)
            if masks is not None:
                masks.hold(t, states[t], states[t + 1], shown[t])
            if together:
                yield

    def backward(self) -> Pass[None]:
        """After `forward`: turn the gradient of the outputs into those of this rank's units and of the state.

        ``dz = dh' ⊙ φ'`` and ``dh = W_hᵀ·dz``, where φ' is ``1 − h'²`` for tanh, ``h' ⊙ (1 − h')`` for the sigmoid,
        and for relu 1 where ``h' > 0``, else 0.
        """
        buffers, masks, kept, d_state = self.buffers, self.buffers.masks, self._kept, self.d_state
        np.copyto(self._hidden_weights, buffers.rows[:, buffers.size.input_size + 2 :].T)
        (d_hidden,), together = d_state, buffers.ranks > 1
        U, B = d_hidden.shape
        outputs_by_step = buffers.outputs[buffers.own].reshape(U, -1, B).transpose(1, 0, 2)
        buffers.start_backward()
        add = np.add
        for (now, factors, scratch, d_outputs), by_step in self._sweeps:
            np.copyto(row_items(d_outputs), row_items(buffers.d_outputs_by_step[now]))
            np.copyto(row_items(scratch), row_items(outputs_by_step[now]))
            self._derivative(scratch, factors)
            for t, d_output, factor, step_product, parts in by_step:
                if masks is not None:
                    masks.take_back(t, d_state, kept)
                add(d_output, d_hidden, d_hidden)
                np.multiply(factor, d_hidden, factor)
                step_product()
                if together:
                    yield
                    add_parts(parts, d_hidden)
                if masks is not None:
                    masks.give_back(t, d_state, kept)
            np.copyto(row_items(buffers.d_gates_by_step[now]), row_items(factors))
        if masks is not None:
            masks.finish(d_state)

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of this rank's rows of the parameters."""
        buffers = self.buffers
        np.matmul(buffers.d_gates, buffers.stacked.T, buffers.d_rows)
        buffers.store_rows(d_weights[0])

    def _derivative(self, outputs: Array, out: Array) -> None:
        """φ' from the outputs, which it uses up."""
        if self._nonlinearity == "relu":
            np.greater(outputs, 0, out=out, casting="unsafe")
            return
        if self._nonlinearity == "sigmoid":
            np.subtract(self._one, outputs, out)
            np.multiply(out, outputs, out)
        else:
            np.multiply(outputs, outputs, out)
            np.subtract(self._one, out, out)
