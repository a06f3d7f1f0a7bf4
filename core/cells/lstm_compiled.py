"""What an LSTM computes element by element, between two products, by the kernels of ``core/kernels``.

`recurrio.core.cells.lstm_numpy` has the same for NumPy, and says what the attributes are.
"""

from __future__ import annotations

import numpy as np

from ..base import compiled
from .lstm_numpy import BackwardStep, Call, Surroundings, Sweep

__all__ = ["Compiled"]


def nothing() -> None:
    """There is nothing to do before or after a sweep."""


class Compiled:
    """The kernels of ``core/kernels``, for float32 without a projection."""

    def __init__(self, around: Surroundings) -> None:
        (T, U, B), dtype, buffers = around.shape, around.d_cell.dtype, around.buffers
        self.cells, self.z = np.zeros((T + 1, U, B), dtype), np.empty((T, 4 * U, B), dtype)
        cell_tanh, hidden, d_z = (np.empty(shape, dtype) for shape in ((T, U, B), (U, B), (4 * U, B)))
        self.forward: list[Call] = []
        steps: list[BackwardStep] = []
        for t in range(T):
            z, cell, next_cell = self.z[t], self.cells[t], self.cells[t + 1]
            call = compiled.bind("lstm_forward", z, cell, next_cell, cell_tanh[t], hidden, around.outputs[t])
            self.forward.append(call)
            given = (z, cell, cell_tanh[t], buffers.d_outputs_by_step[t])
            changed = (around.d_hidden, around.d_cell, d_z, buffers.d_gates_by_step[t].T)
            call = compiled.bind("lstm_backward", *given, *changed)
            steps.append((t, around.d_cell, call, d_z, around.d_cell))
        self.backward: list[Sweep] = [(nothing, steps[::-1], nothing)]
