"""The recurrent cells: a file each, with equations, one step, and what it computes of a sequence; `table` lists them.

`cell` says what a cell is, `loop` runs one over time. They stand on `buffers`, what the loops of all cells share, on
`masks`, for lengths and resets, and on `zoneout`. `layer_norm` is a cell around a cell. What an LSTM computes between
two products is there twice: `lstm_numpy`, and `lstm_compiled` by the kernels.
"""

from .buffers import Buffers, LayerSize, State, Weights
from .cell import Cell, CellKernel
from .loop import Loop
from .masks import Masks
from .table import CELLS

__all__ = ["CELLS", "Buffers", "Cell", "CellKernel", "LayerSize", "Loop", "Masks", "State", "Weights"]
