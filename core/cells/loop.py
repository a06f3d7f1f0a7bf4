"""The loop over time: one layer in one direction over a whole sequence, forward and backward, whatever the cell.

It adds to what a cell computes for each step all that does not depend on the cell: the columns of a table of indices,
lengths and resets, and the meetings of the ranks.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..base.arena import Arenas
from ..base.parameters import Array
from ..base.product import bind_product, empty_weights
from ..base.ranks import Pass, Rank
from .buffers import Buffers, LayerSize, State, Weights, add_parts
from .cell import Call, Cell
from .masks import Masks

__all__ = ["Loop"]

Turn = tuple[int, State, Array | None, Call, Call, Call | None]  # of a `BackwardStep`, what is run


class Loop:
    """A layer over `T` steps of `B` lanes.

    Every array is made here, once, and every per-step view when the loop first runs; then nothing is allocated.
    ``buffers`` is what the other layers see. For this rank's units, ``first`` and ``last`` are the state before the
    first step, which the caller writes, and after the last; ``d_state`` is, before `backward`, the gradient of
    ``last``, and after it that of ``first``. ``d_inputs_from`` is the part of the gates' gradients that the inputs
    have a share in.
    """

    def __init__(
        self, cell: Cell, steps: int, lanes: int, size: LayerSize, dtype: np.dtype, rank: Rank, arenas: Arenas
    ) -> None:
        self.buffers = buffers = Buffers(
            steps,
            lanes,
            size,
            gates=cell.gates,
            rows=cell.rows,
            dtype=dtype,
            rank=rank,
            arenas=arenas,
            by_lane=cell.by_lane(size, dtype),
        )
        rows = len(buffers.rows)
        shares = [rank.share(units) for units in cell.state_sizes(size)]
        self.d_state, self._aside = (
            tuple(arenas.own.empty((part.stop - part.start, lanes), dtype) for part in shares) for _ in range(2)
        )
        self._columns = arenas.own.empty((rows, lanes), dtype)
        self._hidden_weights = empty_weights(size.output_size, rows, lanes, dtype, arenas.own)
        self._kernel = cell.kernel(buffers, self.d_state, arenas.own)
        self.d_inputs_from = self._kernel.d_inputs_from

    @cached_property
    def _states(self) -> list[State]:
        return self._kernel.states()

    @cached_property
    def _forward_steps(self) -> list[tuple[Call, Array, Call]]:
        # Plain tuples: a named one takes twice as long to take apart.
        return [(multiply, sums, activate) for multiply, sums, activate in self._kernel.forward_steps()]

    @cached_property
    def _sweeps(self) -> list[tuple[Call, list[Turn], Call]]:
        d_hidden, together, sweeps = self.d_state[0], self.buffers.ranks > 1, []
        for before, steps, after in self._kernel.sweeps():
            turns: list[Turn] = []
            for t, d_output, differentiate, d_sums, finish, d_after in steps:
                into = self.buffers.parts[t % 2][0] if together else d_hidden
                multiply = bind_product(self._hidden_weights, d_sums, into)
                turns.append((t, d_after, d_output, differentiate, multiply, finish))
            sweeps.append((before, turns, after))
        return sweeps

    @property
    def first(self) -> State:
        """See the class."""
        return self._states[0]

    @property
    def last(self) -> State:
        """See the class."""
        return self._states[-1]

    def forward(
        self, weights: Weights, masks: Masks | None = None, table: Array | None = None, indices: Array | None = None
    ) -> Pass[None]:
        """Run the layer over the inputs from ``first`` to ``last``.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(rows·U, V)``: the column of the index,
        for `indices` ``(T, B)``.
        """
        buffers, states, columns, aside, add = self.buffers, self._states, self._columns, self._aside, np.add
        buffers.load_rows(weights[0])
        table = self._kernel.load(weights, table)
        together, shown = buffers.ranks > 1, buffers.shown
        buffers.start(masks, states[0], aside)
        yield
        for t, (multiply, sums, activate) in enumerate(self._forward_steps):
            multiply()
            if table is not None and indices is not None:
                table.take(indices[t], 1, columns, "clip")
                add(sums, columns, sums)
            activate()
            if masks is not None:
                masks.hold(t, states[t + 1], shown[t], aside)
            if together:
                yield

    def backward(self) -> Pass[None]:
        """After `forward`: turn the gradient of the outputs into those of this rank's gates and of the state."""
        buffers, masks, aside, d_state, add = self.buffers, self.buffers.masks, self._aside, self.d_state, np.add
        d_hidden, together, parts = d_state[0], buffers.ranks > 1, buffers.parts
        self._kernel.load_backward(self._hidden_weights)
        buffers.start_backward()
        for before, turns, after in self._sweeps:
            before()
            for t, d_after, d_output, differentiate, multiply, finish in turns:
                if masks is not None:
                    masks.take_back(t, d_after, aside)
                if d_output is not None:
                    add(d_output, d_hidden, d_hidden)
                differentiate()
                multiply()
                if together:
                    yield
                    add_parts(parts[t % 2][1], d_hidden)
                if finish is not None:
                    finish()
            after()
        if masks is not None:
            masks.take_back(-1, d_state, aside)

    def weight_gradient(self, d_weights: Weights) -> None:
        """After `backward`: write the gradient of this rank's rows of the parameters, products over all steps."""
        self._kernel.weight_gradient(d_weights)
        self.buffers.store_rows(d_weights[0])
