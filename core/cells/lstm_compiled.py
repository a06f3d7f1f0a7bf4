"""What an LSTM computes element by element, between two products, by the kernels of ``core/kernels``.

`recurrio.core.cells.lstm_numpy` has the same for NumPy, and says what the attributes are.
"""

from __future__ import annotations

from ..base import compiled
from ..base.arena import Arena
from ..base.compiled import Call, nothing
from .cell import BackwardStep, Sweep
from .lstm_numpy import Surroundings

__all__ = ["Compiled"]


class Compiled:
    """The kernels of ``core/kernels``, for float32 without a projection."""

    def __init__(self, around: Surroundings, arena: Arena) -> None:
        (T, U, B), dtype = around.buffers.shape, around.d_cell.dtype
        self._around = around
        self.cells, self.z = arena.empty((T + 1, U, B), dtype), arena.empty((T, 4 * U, B), dtype)
        self._cell_tanh = arena.empty((T, U, B), dtype)
        self._hidden, self._d_z = arena.empty((U, B), dtype), arena.empty((4 * U, B), dtype)

    def forward_calls(self) -> list[Call]:
        """A call for each step."""
        arrays = (self.z, self.cells[:-1], self.cells[1:], self._cell_tanh)
        return [
            compiled.bind("lstm_forward", *by_step, self._hidden, output)
            for *by_step, output in zip(*arrays, self._around.buffers.hidden[1:], strict=True)
        ]

    def sweeps(self) -> list[Sweep]:
        """A single one."""
        buffers, d_hidden, d_cell = self._around.buffers, self._around.d_hidden, self._around.d_cell
        state = (d_hidden, d_cell)
        d_gates = buffers.d_gates_by_step.transpose(0, 2, 1)
        arrays = (self.z, self.cells[:-1], self._cell_tanh, buffers.d_outputs_by_step, d_gates)
        steps = [
            BackwardStep(t, None, call, self._d_z, None, state, state, self._d_z)
            for t, call in enumerate(
                compiled.bind("lstm_backward", *given, *state, self._d_z, into)
                for *given, into in zip(*arrays, strict=True)
            )
        ]
        return [Sweep(nothing, steps[::-1], nothing)]
