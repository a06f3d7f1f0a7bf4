"""The LSTM cell: equations, one step, and what it computes of a sequence.

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

from functools import partial

import numpy as np

from ..base import compiled
from ..base.arena import Arena
from ..base.compiled import Call
from ..base.parameters import Array
from ..base.product import Product, bind_product, bind_scaled, empty_weights
from .buffers import Buffers, LayerSize, State, Weights
from .cell import Cell, ForwardStep, Sweep
from .lstm_compiled import Compiled
from .lstm_numpy import Plain, Surroundings

__all__ = ["LSTMCell"]


class LSTMCell(Cell):
    """The LSTM, with a projection where the size has one."""

    name, kind = "lstm", "LSTM"
    rows = gates = 4
    projects = True

    def __init__(self, *, is_plain: bool = False) -> None:
        self._is_plain = is_plain  # without the kernels

    def plain(self) -> LSTMCell:
        """See `Cell`."""
        return LSTMCell(is_plain=True)

    def shapes(self, size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters: its matrix, and its projection if it has one."""
        projection = {"projection": (size.proj_size, size.hidden_size)} if size.proj_size else {}
        return super().shapes(size) | projection

    def state_sizes(self, size: LayerSize) -> tuple[int, ...]:
        """The units of h and of c."""
        return size.output_size, size.hidden_size

    def most_ranks(self, size: LayerSize) -> int:
        """With a projection one, because it needs all units of a step."""
        return 1 if size.proj_size else size.hidden_size

    def to_torch(self, weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names, in torch's gate order (i, f, g, o)."""
        projection = {"weight_hr": weights[1].copy()} if size.proj_size else {}
        return super().to_torch(weights, size) | projection

    def from_torch(self, weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names and in torch's gate order into a layer's."""
        super().from_torch(weights, size, named)
        if size.proj_size:
            weights[1][...] = named["weight_hr"]

    def by_lane(self, size: LayerSize, dtype: np.dtype) -> bool:
        """As the compiled kernels want it."""
        return compiled.has("lstm_forward", dtype) and not size.proj_size and not self._is_plain

    def sums(
        self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul
    ) -> list[Array]:
        """See `Cell`."""
        ones = np.ones((2 * size.bias, x.shape[1]), x.dtype)
        return [product(weights[0], np.concatenate((x, ones, state[0])))]

    def activate(
        self, weights: Weights, size: LayerSize, sums: list[Array], state: State, product: Product = np.matmul
    ) -> State:
        """See `Cell`."""
        (_, cell), (z,), H = state, sums, size.hidden_size
        oif, g = 1 / (1 + np.exp(-z[: 3 * H])), np.tanh(z[3 * H :])
        next_cell = oif[H : 2 * H] * g + oif[2 * H :] * cell
        output = oif[:H] * np.tanh(next_cell)
        return (product(weights[1], output) if size.proj_size else output), next_cell

    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> LSTMKernel:
        """See `Cell`."""
        return LSTMKernel(buffers, d_state, arena, is_compiled=self.by_lane(buffers.size, buffers.dtype))


class LSTMKernel:
    """A `recurrio.core.cells.cell.CellKernel`. Backward::

        dc' += dh' ⊙ o ⊙ (1 − tanh²c')      dc = dc' ⊙ f      dh = W_hᵀ·[do; di; df; dg]
        do = dh' ⊙ o ⊙ (1 − o) ⊙ tanh(c')    di = dc' ⊙ i ⊙ (1 − i) ⊙ g
        df = dc' ⊙ f ⊙ (1 − f) ⊙ c           dg = dc' ⊙ (1 − g²) ⊙ i

    and with a projection ``W_hrᵀ·dh'`` in the place of ``dh'``.
    """

    def __init__(self, buffers: Buffers, d_state: State, arena: Arena, *, is_compiled: bool) -> None:
        (T, U, B), dtype, size = buffers.shape, buffers.dtype, buffers.size
        self._buffers, self._is_compiled = buffers, is_compiled
        self.d_inputs_from = buffers.d_gates
        # σ(z) = 1 / (1 + exp(−z)): the minus is folded into the packed rows of o, i and f.
        self._signs = np.repeat(np.array([-1, 1], dtype), (3 * U, U))[:, None]
        self._ones, self.gate_signs = np.ones_like(self._signs), self._signs
        self._packed = empty_weights(4 * U, buffers.rows.shape[1], B, dtype, arena)
        d_hidden, d_cell = d_state
        # With a projection: o ⊙ tanh(c') and dh' of every step, for the gradient of W_hr.
        projects = size.proj_size > 0
        self._projection = arena.empty((size.proj_size, size.hidden_size), dtype)
        raw, d_projected = (arena.empty((units if projects else 0, T + 1, B), dtype) for units in (U, size.output_size))
        self._raw, self._d_projected = (
            array.reshape(len(array), (T + 1) * B)[:, : T * B] for array in (raw, d_projected)
        )
        self._raw_by_step = raw.transpose(1, 0, 2)[:T]
        d_raw = arena.empty((U, B), dtype) if projects else d_hidden
        by_step = d_projected.transpose(1, 0, 2)[:T] if projects else None
        around = Surroundings(buffers, self._raw_by_step, d_hidden, d_cell, d_raw, self._projection, by_step)
        self._elements = (Compiled if is_compiled else Plain)(around, arena)

    def states(self) -> list[State]:
        """See `CellKernel`."""
        return list(zip(self._buffers.hidden, self._elements.cells, strict=True))

    def loads(self) -> list[Call]:
        """See `CellKernel`."""
        return [bind_scaled(self._buffers.rows, self._signs, self._packed)]

    def forward_steps(self) -> list[ForwardStep]:
        """See `CellKernel`."""
        buffers, elements = self._buffers, self._elements
        calls = elements.forward_calls()
        if buffers.size.proj_size:
            pairs = zip(calls, self._raw_by_step, buffers.hidden[1:], strict=True)
            calls = [projected(call, self._projection, raw, hidden) for call, raw, hidden in pairs]
        return [
            ForwardStep(bind_product(self._packed, x, z), z, z, activate)
            for x, z, activate in zip(buffers.by_step, elements.z, calls, strict=True)
        ]

    def sweeps(self) -> list[Sweep]:
        """See `CellKernel`."""
        return self._elements.sweeps()

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """See `CellKernel`."""
        if self._buffers.size.proj_size:
            np.copyto(self._projection, weights[1])
        return None if table is None else table * self._signs

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """See `CellKernel`."""
        return [bind_scaled(self._buffers.hidden_rows, self._ones, hidden_weights.T)]

    def products(self) -> list[Call]:
        """See `CellKernel`."""
        buffers = self._buffers
        if self._is_compiled:
            return [bind_product(buffers.stacked, buffers.d_gates.T, buffers.d_rows.T)]
        return [partial(np.matmul, buffers.d_gates, buffers.stacked.T, buffers.d_rows)]

    def weight_gradient(self, d_weights: Weights) -> None:
        """See `CellKernel`."""
        if self._buffers.size.proj_size:
            np.matmul(self._d_projected, self._raw.T, d_weights[1])


def projected(activate: Call, projection: Array, raw: Array, hidden: Array) -> Call:
    """`activate`, and then the projection of what it has made."""

    def run() -> None:
        activate()
        np.matmul(projection, raw, hidden)

    return run
