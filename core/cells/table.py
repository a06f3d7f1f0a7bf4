"""The table of cells. A new cell is one file with its equations and one row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..base.arena import Arena
from ..base.parameters import Array
from ..base.ranks import Pass, Rank
from .buffers import Buffers, LayerSize, State, Weights
from .gru import GRUSequence, gru_step
from .lstm import LSTMSequence, lstm_step
from .masks import Masks
from .rnn import RNNSequence, rnn_step

__all__ = ["CELLS", "Cell", "Kernel"]


class Kernel(Protocol):
    """One layer in one direction over a whole sequence; see `recurrio.core.cells.lstm.LSTMSequence`."""

    buffers: Buffers
    first: State
    last: State
    d_state: State
    d_inputs_from: Array

    def __init__(
        self, steps: int, lanes: int, size: LayerSize, dtype: np.dtype, rank: Rank, arena: Arena, **options: str
    ) -> None: ...

    @staticmethod
    def shapes(size: LayerSize) -> dict[str, tuple[int, int]]:
        """The shapes of a layer's parameters."""
        ...

    @staticmethod
    def state_sizes(size: LayerSize) -> tuple[int, ...]:
        """The units of each part of the state."""
        ...

    @staticmethod
    def to_torch(weights: Weights, size: LayerSize) -> dict[str, Array]:
        """A copy of a layer's parameters under torch's names."""
        ...

    @staticmethod
    def from_torch(weights: Weights, size: LayerSize, named: dict[str, Array]) -> None:
        """Write parameters under torch's names into a layer's."""
        ...

    def forward(
        self, weights: Weights, masks: Masks | None = None, table: Array | None = None, tokens: Array | None = None
    ) -> Pass[None]:
        """Run the layer over its inputs, or over the columns of `table` for `tokens`."""
        ...

    def backward(self) -> Pass[None]:
        """After `forward`: the recurrence backwards, which leaves the gradients of the gates and of the state."""
        ...

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of the parameters, products over all steps at once."""
        ...


class Cell(NamedTuple):
    """A kind of layer: its kernel, its single step, and the options that both take."""

    kernel: type[Any]  # of Kernel, whose options differ
    step: Callable[..., State]
    options: dict[str, str]


CELLS = {
    "gru": Cell(GRUSequence, gru_step, {}),
    "lstm": Cell(LSTMSequence, lstm_step, {}),
    "rnn": Cell(RNNSequence, rnn_step, {"nonlinearity": "tanh"}),
    "rnn_relu": Cell(RNNSequence, rnn_step, {"nonlinearity": "relu"}),
    "rnn_sigmoid": Cell(RNNSequence, rnn_step, {"nonlinearity": "sigmoid"}),
}
