"""What a cell is: its shapes, its names in torch, one step, and what it computes of a sequence for the loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, Protocol

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call
from ..base.parameters import Array
from ..base.product import Product
from .buffers import Buffers, LayerSize, State, Weights, from_torch, matrix_columns, to_torch

__all__ = ["BackwardStep", "Call", "Cell", "CellKernel", "ForwardStep", "Sweep"]


class ForwardStep(NamedTuple):
    """A step of the recurrence: two calls, between which the columns of a table are added into `sums`.

    `multiply` leaves the products of the weights in `gates` ``(gates·U, B)``, of which `sums` ``(rows·U, B)`` are the
    first, and `activate` makes the next state of them.
    """

    multiply: Call
    sums: Array
    gates: Array
    activate: Call


class BackwardStep(NamedTuple):
    """A step of the recurrence backwards.

    The gradient of the hidden state comes in with that of the output; `differentiate` makes `d_sums` of it, of which
    the product with the hidden weights, or with the first of their columns, is the gradient of the hidden state before
    the step; `finish` adds what comes by another way. Where `d_output` is None `differentiate` adds it itself.
    `d_after` is the gradient of the state after the step, where `differentiate` finds it, and `d_before` that of the
    state before it, where `finish` has left it. `d_gates` ``(gates·U, B)`` are the gradients before the activations,
    of which `d_sums` are a part.
    """

    step: int
    d_output: Array | None
    differentiate: Call
    d_sums: Array
    finish: Call | None
    d_after: State
    d_before: State
    d_gates: Array


class Sweep(NamedTuple):
    """Some steps of the backward pass, from the last to the first, a call before them, and a call after them."""

    before: Call
    steps: list[BackwardStep]
    after: Call


class CellKernel(Protocol):
    """What a cell computes of the sequence in its buffers, for this rank's units."""

    d_inputs_from: Array  # the part of the gates' gradients that the inputs have a share in
    gate_signs: Array  # (gates·U, 1): 1, or −1 where the sums of a gate have their sign turned

    def states(self) -> list[State]:
        """The state before each step, and after the last; the hidden state is that of the buffers."""
        ...

    def loads(self) -> list[Call]:
        """Before the forward pass: what puts the rows of the buffers in the order of the products."""
        ...

    def forward_steps(self) -> list[ForwardStep]:
        """The steps, from the first."""
        ...

    def backward_loads(self, hidden_weights: Array) -> list[Call]:
        """Before the backward pass: the same for those of the hidden state ``(P, rows·U)``, in that of ``d_sums``."""
        ...

    def sweeps(self) -> list[Sweep]:
        """The sweeps of the backward pass, from the last steps to the first."""
        ...

    def load(self, weights: Weights, table: Array | None) -> Array | None:
        """Before the forward pass: take the weights that are not in the matrix. `table` as its columns are added."""
        ...

    def products(self) -> list[Call]:
        """After the backward pass: what writes ``d_rows`` of the buffers."""
        ...

    def weight_gradient(self, d_weights: Weights) -> None:
        """After the backward pass: write the gradient of the parameters that are not in the matrix."""
        ...


class Cell(ABC):
    """A kind of recurrent layer, with one matrix of parameters unless it says otherwise.

    Its ``name`` is that in the table, its ``kind`` what people call it. `rows` blocks of `H` rows make the matrix, and
    `gates` blocks the gradients before the activations. `projects` says whether it takes a `proj_size`, and
    `normalises` whether the `sums` of its steps are all that its gates are taken of.
    """

    name: str
    kind: str
    rows: int
    gates: int
    projects: bool = False
    normalises: bool = True

    @property
    def options(self) -> dict[str, str | bool]:
        """The arguments of a layer that choose this cell among others of its kind."""
        return {}

    def shapes(self, size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters."""
        return {"matrix": (self.rows * size.hidden_size, matrix_columns(size))}

    def state_sizes(self, size: LayerSize) -> tuple[int, ...]:
        """The units of each part of the state."""
        return (size.hidden_size,)

    def most_ranks(self, size: LayerSize) -> int:
        """How many ranks can share the units of a layer."""
        return size.hidden_size

    def to_torch(self, weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names."""
        return to_torch(weights[0], size)

    def from_torch(self, weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names into a layer's."""
        from_torch(weights[0], size, named)

    def by_lane(self, size: LayerSize, dtype: np.dtype) -> bool:
        """How the buffers stand: see `recurrio.core.cells.buffers.Buffers`."""
        return False

    def plain(self) -> Cell:
        """The same cell, into whose steps others may come: between sums, state, and what is carried on."""
        return self

    def step(self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul) -> State:
        """One step for `x` ``(I, B)`` from `state`: the next state. The caller silences overflow."""
        return self.activate(weights, size, self.sums(weights, size, x, state, product), state, product)

    @abstractmethod
    def sums(
        self, weights: Weights, size: LayerSize, x: Array, state: State, product: Product = np.matmul
    ) -> list[Array]:
        """Of a step, what the gates are taken of: all together ``(gates·H, B)``, in the order of the gates."""

    @abstractmethod
    def activate(
        self, weights: Weights, size: LayerSize, sums: list[Array], state: State, product: Product = np.matmul
    ) -> State:
        """The next state of these."""

    @abstractmethod
    def kernel(self, buffers: Buffers, d_state: State, arena: Arena) -> CellKernel:
        """What is computed in `buffers`. `d_state` takes the gradient of the state, `arena` gives what it needs."""
