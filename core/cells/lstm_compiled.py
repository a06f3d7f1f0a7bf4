"""What an LSTM computes element by element, between two products, by the kernels of ``core/kernels``.

`recurrio.core.cells.lstm_numpy` has the same for NumPy, and says what the attributes are.
"""

from __future__ import annotations

from ..base import compiled
from ..base.arena import Arena
from .cell import BackwardStep, Call, Sweep, nothing
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
        z, cells, cell_tanh = self.z, self.cells, self._cell_tanh
        return [
            compiled.bind("lstm_forward", z[t], cells[t], cells[t + 1], cell_tanh[t], self._hidden, output)
            for t, output in enumerate(self._around.buffers.hidden[1:])
        ]

    def sweeps(self) -> list[Sweep]:
        """A single one."""
        buffers, d_hidden, d_cell = self._around.buffers, self._around.d_hidden, self._around.d_cell
        state = (d_hidden, d_cell)
        steps: list[BackwardStep] = []
        for t in reversed(range(len(self.z))):
            given = (self.z[t], self.cells[t], self._cell_tanh[t], buffers.d_outputs_by_step[t])
            changed = (d_hidden, d_cell, self._d_z, buffers.d_gates_by_step[t].T)
            call = compiled.bind("lstm_backward", *given, *changed)
            steps.append(BackwardStep(t, None, call, self._d_z, None, state))
        return [Sweep(nothing, steps, nothing)]
