"""The forecaster: a table of hidden states, a row for each key, and single steps of a model from them.

Records are taken in their order: each steps the state that its row has after the records before it. Outputs and states
have the same bits however the records are cut into calls, and whatever other records stand beside one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..base import compiled
from ..base.checks import ArgumentError, check_array, check_count
from ..base.copies import Copies
from ..base.parameters import Array
from ..base.product import multiply_by_lane
from ..base.state import Part
from ..cells.buffers import State
from .sequence_model import SequenceModel

__all__ = ["Forecaster"]


class Forecaster:
    """One step of the model for record after record, each from the state of its key, which it moves on.

    ``states`` are those of all `rows`, over layers, as tuples of arrays ``(rows, units)``: they begin as zeros, and can
    be read and written between calls. A row that was never used takes no memory. The kernel, for an LSTM of one layer
    in float32, gives other last bits than NumPy.

    Models of one direction with one output a step. Raises ArgumentError.
    """

    def __init__(self, model: SequenceModel, rows: int) -> None:
        network, rows = model.network, check_count("rows", rows)
        stack, dtype = network.stack, model.dtype
        if not network.head.streams or stack.directions == 2:
            got = "bidirectional=True" if stack.directions == 2 else f"output={network.head.name!r}"
            raise ArgumentError("model", "one direction and one output a step", got)
        self._network, self._dtype = network, dtype
        self._parameters = np.empty(model.layout.size, dtype)
        self._blocks = network.blocks(self._parameters)
        # The parts of a row stand side by side: whoever needs one needs all.
        self._units = [units for parts in zip(*stack.state_sizes, strict=True) for units in parts]
        self._table = np.zeros((rows, sum(self._units)), dtype)
        self.copies = Copies(self._table)
        parts = iter(np.split(self._table, np.cumsum(self._units)[:-1], axis=1))
        self.states: list[State] = [tuple(next(parts) for _ in stack.state_sizes) for _ in stack.sizes]
        self._compiled = stack.cell.name == "lstm" and len(self._units) == 2 and not stack.sizes[0].proj_size
        self._compiled = self._compiled and not stack.layer_norm and not stack.zoneout
        self._compiled = self._compiled and compiled.has("forecast", dtype)
        if self._compiled:
            columns, H = self._blocks.weights[0][0].shape[1], stack.sizes[0].hidden_size
            self._packed = np.empty((columns, 4 * H), dtype)
            self._scratch = np.empty(columns + 8 * H + 16 * (1 + H + network.output_size) + 1, dtype)

    def forecast(self, parameters: Array, inputs: Array, rows: Array) -> Array:
        """The outputs ``(n, O)`` for features ``(n, I)`` or indices ``(n,)``, with the vector `parameters` ``(size,)``.

        `rows` ``(n,)`` int64 are the rows of the table whose states are stepped, or ``~row`` where the state begins
        from zeros. Raises ArgumentError, and changes nothing then.
        """
        check_array("parameters", parameters, self._parameters.shape, self._dtype)
        check_array("rows", rows, ("n",), np.dtype(np.int64))
        n = len(rows)
        if len(inputs) != n:
            raise ArgumentError("inputs", f"{n} records, as many as rows", inputs.shape)
        if n:
            self._network.check_inputs(inputs[None], None, False)
        np.copyto(self._parameters, parameters)
        views = self._blocks.views
        if self._network.vocabulary_size is not None:
            inputs = views["embedding.weight"][inputs]
        outputs = np.empty((n, self._network.output_size), self._dtype)
        (self._step_compiled if self._compiled else self._step_by_rounds)(inputs, rows, outputs)
        return outputs

    def set(self, other: Forecaster, rows: Array) -> None:
        """Let the first rows have the states that `other`, of the same model, has in these `rows`; −1: any."""
        self._table[: len(rows)] = other._table[rows]

    def clean(self, rows: Array) -> None:
        """Let the next records of these `rows` not begin from what is not finite: that becomes 0."""
        own = np.where(rows < 0, ~rows, rows)
        self._table[own] = np.where(np.isfinite(self._table[own]), self._table[own], 0)

    def _step_compiled(self, inputs: Array, rows: Array, outputs: Array) -> None:
        matrix, head = self._blocks.weights[0][0], self._blocks.views["head.matrix"]
        inputs, rows = (array if array.flags.aligned else array.copy() for array in (inputs, rows))
        arrays = (inputs, self._packed, rows, matrix, head, self._table, outputs, self._scratch)
        compiled.bind("forecast", *arrays)()
        if self._scratch[-1]:
            self._refuse(rows)

    @np.errstate(over="ignore", invalid="ignore")
    def _step_by_rounds(self, inputs: Array, rows: Array, outputs: Array) -> None:
        """The first record of each row, then the second of each that has two, and so on."""
        fresh = rows < 0
        rows = np.where(fresh, ~rows, rows)
        if rows.size and rows.max() >= len(self._table):
            self._refuse(rows)
        stack, head = self._network.stack, self._blocks.views["head.matrix"]
        parts = len(stack.state_sizes)
        for chosen in _rounds(rows):
            now = rows[chosen]
            before = self._table[now]
            before[fresh[chosen]] = 0
            columns = [part.T for part in np.split(before, np.cumsum(self._units)[:-1], axis=1)]
            state: list[State] = [tuple(columns[k : k + parts]) for k in range(0, len(columns), parts)]
            hidden = stack.step(self._blocks.weights, inputs[chosen].T, state, multiply_by_lane)
            self._table[now] = np.concatenate([part for layer in state for part in layer]).T
            outputs[chosen] = (multiply_by_lane(head[:, 1:], hidden) + head[:, :1]).T

    def dump(self, rows: int) -> dict[str, Array]:
        """A copy of the states of the first `rows`."""
        return {"table": self.copies.first(rows)}

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self._table[:rows] = part.array("table", (rows, self._table.shape[1]), self._dtype)

    def _refuse(self, rows: Array) -> None:
        wrong = rows[np.where(rows < 0, ~rows, rows) >= len(self._table)][0]
        raise ArgumentError("rows", f"rows of a table of {len(self._table)}", wrong)


def _rounds(rows: Array) -> Iterator[Array]:
    """The places in `rows` ``(n,)`` where a row stands for the first time, then for the second, and so on."""
    if not rows.size:
        return
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    turns = np.empty_like(order)
    turns[order] = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
    yield from np.split(np.argsort(turns, kind="stable"), np.cumsum(np.bincount(turns))[:-1])
