"""The simple recurrent cell (Elman): equations, one step, and what it computes of a sequence.

For one step, with ``x`` ``(I, B)`` and ``h`` ``(H, B)``::

    h' = φ(W·[x; 1; 1; h])

where φ is ``tanh``, ``relu`` or the logistic ``sigmoid``. The parameters are one matrix ``W`` ``(H, I+2+H)`` with the
columns ``[weight_ih | bias_ih | bias_hh | weight_hh]``.

Source of the equations: Elman, "Finding structure in time" (1990), as in ``torch.nn.RNN``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call, in_turn
from ..base.parameters import Array
from ..base.product import Product, bind_product, bind_scaled, empty_weights
from .buffers import Buffers, LayerSize, State, Weights, row_items, sweep_room, sweeps
from .cell import BackwardStep, Cell, ForwardStep, Sweep

__all__ = ["NONLINEARITIES", "RNNCell"]


class Nonlinearity(NamedTuple):
    """φ. `minus` folds a minus into the weights; `derivative` makes φ' of the outputs, which it uses up."""

    minus: bool
    apply: Callable[[Array], Array]
    bind: Callable[[Array, Array], Call]  # of z, times −1 with `minus`, to h'
    derivative: Callable[[Array, Array], object]


def bind_sigmoid(z: Array, out: Array) -> Call:
    """σ(z) = 1 / (1 + exp(−z)), of −z; exp(−z) = inf is σ(z) = 0, which is right."""
    one, exp, add, reciprocal = np.array(1, z.dtype), np.exp, np.add, np.reciprocal

    def run() -> None:
        exp(z, z)
        add(z, one, z)
        reciprocal(z, out)

    return run


def bind_relu(z: Array, out: Array) -> Call:
    """A function of one's own, because a `partial` with keywords takes longer."""
    zero, maximum = np.array(0, z.dtype), np.maximum
    return lambda: maximum(z, zero, out=out)


def of_tanh(outputs: Array, out: Array) -> None:
    """``1 − h'²``."""
    np.multiply(outputs, outputs, out)
    np.subtract(np.array(1, out.dtype), out, out)


def of_sigmoid(outputs: Array, out: Array) -> None:
    """``h' ⊙ (1 − h')``."""
    np.subtract(np.array(1, out.dtype), outputs, out)
    np.multiply(out, outputs, out)


def of_relu(outputs: Array, out: Array) -> None:
    """1 where ``h' > 0``, else 0."""
    np.greater(outputs, 0, out=out, casting="unsafe")


FUNCTIONS = {
    "tanh": Nonlinearity(False, np.tanh, lambda z, out: partial(np.tanh, z, out), of_tanh),
    "relu": Nonlinearity(False, lambda z: np.maximum(z, 0), bind_relu, of_relu),
    "sigmoid": Nonlinearity(True, lambda z: 1 / (1 + np.exp(-z)), bind_sigmoid, of_sigmoid),
}
NONLINEARITIES = {"tanh": "rnn", "relu": "rnn_relu", "sigmoid": "rnn_sigmoid"}  # the names of the cells


class RNNCell(Cell):
    """An Elman cell with one of `NONLINEARITIES`."""

    rows = gates = 1

    def __init__(self, nonlinearity: str, *, is_plain: bool = False) -> None:
        self.name = NONLINEARITIES[nonlinearity]
        self.kind = "RNN" if nonlinearity == "tanh" else f"RNN {nonlinearity}"
        self._nonlinearity, self._is_plain = nonlinearity, is_plain

    def plain(self) -> RNNCell:
        """See `Cell`."""
        return RNNCell(self._nonlinearity, is_plain=True)

    @property
    def options(self) -> dict[str, str | bool]:
        """The nonlinearity."""
        return {"nonlinearity": self._nonlinearity}

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
        return (FUNCTIONS[self._nonlinearity].apply(sums[0]),)

    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> RNNKernel:
        """See `Cell`."""
        return RNNKernel(FUNCTIONS[self._nonlinearity], buffers, d_state, arena, is_plain=self._is_plain)


class RNNKernel:
    """A `recurrio.core.cells.cell.CellKernel`.

    Backward, ``dz = dh' ⊙ φ'`` and ``dh = W_hᵀ·dz``. A sweep is as many steps as fit in the cache: whole-array calls
    for φ', then step by step, which turns φ' into dz in place.
    """

    def __init__(
        self, function: Nonlinearity, buffers: Buffers, d_state: State, arena: Arena, *, is_plain: bool
    ) -> None:
        (T, U, B), dtype = buffers.shape, buffers.dtype
        self._function, self._buffers, self._d_state = function, buffers, d_state
        self.d_inputs_from = buffers.d_gates
        self._z = arena.empty((U, B), dtype)
        self._ones = np.ones((U, 1), dtype)
        self.gate_signs = -self._ones if function.minus else self._ones
        self._made = arena.empty((T, U, B), dtype) if is_plain else None  # h', whatever others make of it
        self._packed = empty_weights(U, buffers.rows.shape[1], B, dtype, arena)
        step = U * B * dtype.itemsize
        self._cuts = sweeps(T, 4 * step)
        longest, room = self._cuts[0].stop - self._cuts[0].start, sweep_room(T, 4 * step, step)
        self._factors, self._outputs, self._d_outputs = (arena.empty((longest, U, B), dtype, room) for _ in range(3))

    def states(self) -> list[State]:
        """See `CellKernel`."""
        return [(hidden,) for hidden in self._buffers.hidden]

    def loads(self) -> list[Call]:
        """See `CellKernel`."""
        return [bind_scaled(self._buffers.rows, self.gate_signs, self._packed)]

    def forward_steps(self) -> list[ForwardStep]:
        """See `CellKernel`."""
        z, buffers, bind = self._z, self._buffers, self._function.bind
        if self._made is None:
            calls = [bind(z, hidden) for hidden in buffers.hidden[1:]]
        else:
            pairs = zip(self._made, buffers.hidden[1:], strict=True)
            calls = [in_turn([bind(z, made), partial(np.copyto, hidden, made)]) for made, hidden in pairs]
        products = [bind_product(self._packed, x, z) for x in buffers.by_step]
        return [ForwardStep(product, z, z, call) for product, call in zip(products, calls, strict=True)]

    def sweeps(self) -> list[Sweep]:
        """See `CellKernel`."""
        d_state, buffers = self._d_state, self._buffers
        found = []
        for now in self._cuts:
            n = now.stop - now.start
            factors, outputs, d_outputs = self._factors[:n], self._outputs[:n], self._d_outputs[:n]
            copies = (row_items(d_outputs), row_items(buffers.d_outputs_by_step[now]), row_items(outputs))
            before = partial(self._before, now, *copies, outputs, factors)
            after = partial(np.copyto, row_items(buffers.d_gates_by_step[now]), row_items(factors))
            steps = []
            for t in reversed(range(n)):
                dz = factors[t]
                differentiate = partial(np.multiply, dz, d_state[0], dz)
                steps.append(BackwardStep(now.start + t, d_outputs[t], differentiate, dz, None, d_state, d_state, dz))
            found.append(Sweep(before, steps, after))
        return found

    def _before(
        self, now: slice, d_outputs_to: Array, d_outputs_from: Array, outputs_to: Array, outputs: Array, factors: Array
    ) -> None:
        """φ' of a sweep, from the outputs, which stand elsewhere when there are masks."""
        made = self._buffers.outputs_by_step() if self._made is None else self._made
        np.copyto(d_outputs_to, d_outputs_from)
        np.copyto(outputs_to, row_items(made[now]))
        self._function.derivative(outputs, factors)

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """See `CellKernel`."""
        return -table if self._function.minus and table is not None else table

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """See `CellKernel`."""
        return [bind_scaled(self._buffers.hidden_rows, self._ones, hidden_weights.T)]

    def products(self) -> list[Call]:
        """See `CellKernel`."""
        return [partial(np.matmul, self._buffers.d_gates, self._buffers.stacked.T, self._buffers.d_rows)]

    def weight_gradient(self, d_weights: Weights) -> None:
        """See `CellKernel`. There are none."""
