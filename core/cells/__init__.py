"""The recurrent cells: a file each, with equations, one step, and the kernel over a sequence; `table` lists them.

They stand on `buffers`, what the kernels of all cells share, and on `masks`, for lengths and resets.
"""

from .buffers import Buffers, LayerSize, State, Weights
from .masks import Masks
from .table import CELLS, Cell, Kernel

__all__ = ["CELLS", "Buffers", "Cell", "Kernel", "LayerSize", "Masks", "State", "Weights"]
