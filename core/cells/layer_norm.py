"""Layer normalisation: a cell whose gates are taken of sums that are normalised over the units.

For the sums ``a`` ``(H, B)`` of each gate of a step, which without it the activations are taken of, with the mean ``μ``
and the variance ``v`` of a column::

    x = (a − μ) / √(v + 10⁻⁵)        a' = weight ⊙ x + bias

Each gate has a mean and a variance of its own; the sum of the inputs and that of the hidden state are normalised
together, with the biases in it, except in the n of a GRU, ``tanh(a'_n + r ⊙ a'_s)``, where they stay apart. The state
of an LSTM's cells is not normalised. The parameters are one more block ``(2, gates·H)``, the weights and the biases in
the order of the gates, which begin as 1 and 0; beside torch's names they are ``norm_weight`` and ``norm_bias``.

Source: Ba, Kiros and Hinton, "Layer normalization" (2016), equation 4, gate by gate.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call, in_turn
from ..base.parameters import Array
from ..base.product import Product
from .buffers import Buffers, LayerSize, State, Weights
from .cell import Cell, CellKernel, ForwardStep, Sweep

__all__ = ["LayerNorm"]

EPSILON = 1e-5  # torch's


class LayerNorm(Cell):
    """A `cell` with normalised sums."""

    def __init__(self, cell: Cell) -> None:
        self._cell = cell.plain()
        self.name, self.kind = cell.name, cell.kind
        self.rows, self.gates, self.projects = cell.rows, cell.gates, cell.projects

    def plain(self) -> Cell:
        """It is."""
        return self

    def shapes(self, size: LayerSize) -> dict[str, tuple[int, int]]:
        """See `Cell`: the weights and biases are the last block."""
        return self._cell.shapes(size) | {"norm": (2, self.gates * size.hidden_size)}

    def state_sizes(self, size: LayerSize) -> tuple[int, ...]:
        """See `Cell`."""
        return self._cell.state_sizes(size)

    def most_ranks(self, size: LayerSize) -> int:
        """One, because mean and variance are of all units of a step."""
        return 1

    def to_torch(self, weights: Weights, size: LayerSize) -> dict[str, Array]:
        """See `Cell`. The order of the gates is that of the others, with what only a GRU has, s, at the end."""
        weight, bias = (self._rolled(row, size.hidden_size) for row in weights[-1])
        return self._cell.to_torch(weights[:-1], size) | {"norm_weight": weight, "norm_bias": bias}

    def from_torch(self, weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """See `Cell`."""
        self._cell.from_torch(weights[:-1], size, named)
        for row, name in zip(weights[-1], ("norm_weight", "norm_bias"), strict=True):
            row[...] = self._rolled(named[name], -size.hidden_size)

    def _rolled(self, row: Array, units: int) -> Array:
        """torch has the first of our gates behind the others."""
        own = self.rows * abs(units)
        return np.concatenate((np.roll(row[:own], -units), row[own:]))

    def sums(
        self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul
    ) -> list[Array]:
        """See `Cell`."""
        H, start, normalised = size.hidden_size, 0, []
        to_mean = np.full((1, H), 1 / H, x.dtype)
        for part in self._cell.sums(weights[:-1], size, x, state, product):
            weight, bias = weights[-1][:, start : start + len(part), None]
            gates = []
            for a in np.split(part, len(part) // H):
                a = a - product(to_mean, a)  # by a product, as its bits do not depend on the lanes beside one
                gates.append(a / np.sqrt(product(to_mean, a * a) + a.dtype.type(EPSILON)))
            normalised.append(weight * np.concatenate(gates) + bias)
            start += len(part)
        return normalised

    def activate(
        self, weights: Weights, size: LayerSize, sums: list[Array], state: State, product: Product = np.matmul
    ) -> State:
        """See `Cell`."""
        return self._cell.activate(weights[:-1], size, sums, state, product)

    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> LayerNormKernel:
        """See `Cell`."""
        return LayerNormKernel(self._cell.kernel(buffers, d_state, arena), buffers, self.gates, arena)


class LayerNormKernel:
    """A `recurrio.core.cells.cell.CellKernel` around that of the cell. Backward, with means over the units::

        dx = weight ⊙ da'        da = (dx − mean(dx) − x ⊙ mean(dx ⊙ x)) / √(v + 10⁻⁵)

    The sums of some gates have their sign turned, and so has x then; `da` has not.
    """

    def __init__(self, kernel: CellKernel, buffers: Buffers, gates: int, arena: Arena) -> None:
        (T, H, B), dtype = buffers.shape, buffers.dtype
        self._kernel, self._shape = kernel, (gates, H, B)
        self.d_inputs_from, self.gate_signs = kernel.d_inputs_from, kernel.gate_signs
        self._x, self._scales = arena.empty((T, gates, H, B), dtype), arena.empty((T, gates, 1, B), dtype)
        self._weight, self._bias = (np.empty((gates, H, 1), dtype) for _ in range(2))
        self._d_weight, self._d_bias = (arena.empty((gates, H, B), dtype) for _ in range(2))  # lane by lane
        self._scratch, self._mean = arena.empty((gates, H, B), dtype), arena.empty((gates, 1, B), dtype)

    def states(self) -> list[State]:
        """See `CellKernel`."""
        return self._kernel.states()

    def loads(self) -> list[Call]:
        """See `CellKernel`."""
        return self._kernel.loads()

    def forward_steps(self) -> list[ForwardStep]:
        """See `CellKernel`."""
        steps = []
        for t, step in enumerate(self._kernel.forward_steps()):
            normalise = partial(self._normalise, step.gates.reshape(self._shape), self._x[t], self._scales[t])
            steps.append(step._replace(activate=in_turn([normalise, step.activate])))
        return steps

    def _normalise(self, a: Array, x: Array, scale: Array) -> None:
        np.mean(a, axis=1, keepdims=True, out=self._mean)
        np.subtract(a, self._mean, x)
        np.multiply(x, x, a)
        np.mean(a, axis=1, keepdims=True, out=scale)
        np.add(scale, scale.dtype.type(EPSILON), scale)
        np.sqrt(scale, scale)
        np.reciprocal(scale, scale)
        np.multiply(x, scale, x)
        np.multiply(x, self._weight, a)
        np.add(a, self._bias, a)

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """See `CellKernel`."""
        clears = [partial(array.fill, 0) for array in (self._d_weight, self._d_bias)]
        return [*clears, *self._kernel.backward_loads(hidden_weights)]

    def sweeps(self) -> list[Sweep]:
        """See `CellKernel`."""
        found = []
        for sweep in self._kernel.sweeps():
            steps = []
            for step in sweep.steps:
                d_gates, t = step.d_gates.reshape(self._shape), step.step
                back = partial(self._differentiate, d_gates, self._x[t], self._scales[t])
                steps.append(step._replace(differentiate=in_turn([step.differentiate, back])))
            found.append(sweep._replace(steps=steps))
        return found

    def _differentiate(self, d: Array, x: Array, scale: Array) -> None:
        scratch, mean = self._scratch, self._mean
        np.add(self._d_bias, d, self._d_bias)
        np.multiply(d, x, scratch)
        np.add(self._d_weight, scratch, self._d_weight)
        np.multiply(d, self._weight, d)
        np.multiply(d, x, scratch)
        np.mean(scratch, axis=1, keepdims=True, out=mean)
        np.multiply(x, mean, scratch)
        np.mean(d, axis=1, keepdims=True, out=mean)
        np.subtract(d, mean, d)
        np.subtract(d, scratch, d)
        np.multiply(d, scale, d)

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """See `CellKernel`."""
        weight, bias = weights[-1]
        np.copyto(self._weight, weight.reshape(self._weight.shape))
        np.multiply(self.gate_signs.reshape(self._bias.shape), bias.reshape(self._bias.shape), self._bias)
        return self._kernel.load(weights[:-1], table)

    def products(self) -> list[Call]:
        """See `CellKernel`."""
        return self._kernel.products()

    def weight_gradient(self, d_weights: Weights) -> None:
        """See `CellKernel`."""
        self._kernel.weight_gradient(d_weights[:-1])
        d_weight, d_bias = d_weights[-1]
        np.multiply(self.gate_signs[:, 0], self._d_weight.sum(axis=2).reshape(-1), d_weight)
        np.sum(self._d_bias.reshape(len(d_bias), -1), axis=1, out=d_bias)
