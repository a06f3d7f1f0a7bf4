"""The layers `RNN`, `LSTM` and `GRU` for library users: torch's constructor arguments, shapes and call convention.

The shapes are in `recurrio.core.layers.recurrent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import DTypeLike

from ..base.checks import ArgumentError, check_dtype, check_flag, count_parts
from ..cells.rnn import NONLINEARITIES
from .recurrent import Part, Recurrent
from .stack import Stack

__all__ = ["GRU", "LSTM", "RNN", "LSTMState"]


class LSTMState(NamedTuple):
    """The state of an `LSTM`: ``(h_n, c_n)``."""

    hidden: Part
    cell: Part


class RNN(Recurrent[Part]):
    """Elman layers, ``h' = φ(W_ih·x + b_ih + W_hh·h + b_hh)``, as ``torch.nn.RNN``.

    `hidden_size` H is one width or one for each of the `num_layers` layers; `nonlinearity` φ ``"tanh"``, ``"relu"`` or
    ``"sigmoid"``; `dropout` the probability that an output is dropped on its way to the next layer; `dtype`
    ``"float32"`` or ``"float64"``. The parameters are torch's for the `seed`, a whole number below 2³²; with None it is
    drawn afresh and kept in ``seed``. Raises ArgumentError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ArgumentError("nonlinearity", f"one of {', '.join(NONLINEARITIES)}", repr(nonlinearity))
        sizes = (input_size, hidden_size, num_layers)
        stack = Stack(NONLINEARITIES[nonlinearity], *sizes, bias, dropout, bidirectional, dtype=check_dtype(dtype).name)
        super().__init__(stack, batch_first, seed)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), **self.stack.cell.options}

    def _split(self, name: str, state: Part) -> tuple[Part, ...]:
        return (state,)

    def _join(self, parts: list[Part]) -> Part:
        return parts[0]


class LSTM(Recurrent[LSTMState]):
    """Long short-term memory, as ``torch.nn.LSTM``; the equations are in `recurrio.core.cells.lstm`.

    With `proj_size` P > 0 the hidden state is projected to P units. The other arguments are those of `RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        stack = Stack("lstm", *sizes, bias, dropout, bidirectional, proj_size, check_dtype(dtype).name)
        super().__init__(stack, batch_first, seed)

    def _split(self, name: str, state: LSTMState) -> tuple[Part, ...]:
        if not isinstance(state, tuple) or len(state) != 2:
            raise ArgumentError(name, "a pair (h, c)", count_parts(state))
        return state

    def _join(self, parts: list[Part]) -> LSTMState:
        return LSTMState(*parts)


class GRU(Recurrent[Part]):
    """Gated recurrent units, as ``torch.nn.GRU``; the equations are in `recurrio.core.cells.gru`.

    With `reset_after` False the reset gate acts before the product, as in `recurrio.core.cells.gru_reset_before`, which
    torch does not have. The other arguments are those of `RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        dtype: DTypeLike = "float32",
        seed: int | None = None,
    ) -> None:
        sizes = (input_size, hidden_size, num_layers)
        cell = "gru" if check_flag("reset_after", reset_after) else "gru_reset_before"
        stack = Stack(cell, *sizes, bias, dropout, bidirectional, dtype=check_dtype(dtype).name)
        super().__init__(stack, batch_first, seed)

    def _arguments(self) -> dict[str, Any]:
        return {**super()._arguments(), **self.stack.cell.options}

    def _split(self, name: str, state: Part) -> tuple[Part, ...]:
        return (state,)

    def _join(self, parts: list[Part]) -> Part:
        return parts[0]
