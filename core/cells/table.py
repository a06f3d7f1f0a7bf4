"""The table of cells. A new cell is one file with its equations and one row here."""

from __future__ import annotations

from .cell import Cell
from .gru import GRUCell
from .gru_reset_before import GRUResetBeforeCell
from .lstm import LSTMCell
from .rnn import NONLINEARITIES, RNNCell

__all__ = ["CELLS"]

CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (GRUCell(), GRUResetBeforeCell(), LSTMCell(), *(RNNCell(function) for function in NONLINEARITIES))
}
