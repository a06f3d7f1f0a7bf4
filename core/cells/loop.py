"""The loop over time: one layer in one direction over a whole sequence, forward and backward, whatever the cell.

It adds to what a cell computes for each step all that does not depend on the cell: the columns of a table of indices,
lengths and resets, zoneout, and the meetings of the ranks.
"""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np

from ..base.arena import Arenas
from ..base.compiled import ByArray, Call, in_turn, nothing
from ..base.parameters import Array
from ..base.product import bind_product, empty_weights
from ..base.ranks import Pass, Rank
from .buffers import Buffers, LayerSize, State, Weights, add_parts
from .cell import Cell
from .masks import Masks
from .zoneout import Zoneout

__all__ = ["Loop"]

Turn = tuple[int, State, Array | None, Call, Call, Call | None]  # of a `BackwardStep`, what is run


class Loop:
    """A layer over `T` steps of `B` lanes.

    Every array is made here, once, and every per-step view when the loop first runs; then nothing is allocated.
    ``buffers`` is what the other layers see. For this rank's units, ``first`` and ``last`` are the state before the
    first step, which the caller writes, and after the last, of all ``states``; ``d_state`` is, before `backward`, the
    gradient of ``last``, and after it that of ``first``. ``d_inputs_from`` is the part of the gates' gradients that the
    inputs have a share in. With `zoneout`, a probability, the `cell` is to be a plain one.
    """

    def __init__(
        self,
        cell: Cell,
        steps: int,
        lanes: int,
        size: LayerSize,
        dtype: np.dtype,
        rank: Rank,
        arenas: Arenas,
        zoneout: float = 0.0,
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
        self._zoneout = Zoneout(zoneout, steps, self.d_state, arenas.own) if zoneout else None

    @cached_property
    def states(self) -> list[State]:
        """See the class."""
        return self._kernel.states()

    @cached_property
    def _load(self) -> ByArray:
        return after_loads(self.buffers, in_turn(self._kernel.loads()))

    @cached_property
    def _forward_steps(self) -> list[tuple[Call, Array, Call]]:
        # Plain tuples: a named one takes twice as long to take apart.
        steps = self._kernel.forward_steps()
        if self._zoneout is not None:
            mixes = map(self._zoneout.mix, range(len(steps)), self.states, self.states[1:])
            steps = [s._replace(activate=in_turn([s.activate, mix])) for s, mix in zip(steps, mixes, strict=True)]
        return [(multiply, sums, activate) for multiply, sums, _, activate in steps]

    @cached_property
    def _forward_at_once(self) -> ByArray:
        """All that a forward pass is, where nothing comes between its steps."""
        steps = [call for multiply, _, activate in self._forward_steps for call in (multiply, activate)]
        return after_loads(self.buffers, in_turn([*self._kernel.loads(), *steps]))

    @cached_property
    def _load_backward(self) -> Call:
        return in_turn(self._kernel.backward_loads(self._hidden_weights))

    @cached_property
    def _backward_at_once(self) -> Call:
        """The same for a backward pass."""
        calls, d_hidden = self._kernel.backward_loads(self._hidden_weights), self.d_state[0]
        for before, turns, after in self._sweeps:
            calls.append(before)
            for _, _, d_output, differentiate, multiply, finish in turns:
                if d_output is not None:
                    calls.append(partial(np.add, d_output, d_hidden, d_hidden))
                calls += [differentiate, multiply]
                if finish is not None:
                    calls.append(finish)
            calls.append(after)
        return in_turn(calls)

    @cached_property
    def _products(self) -> ByArray:
        return before_stores(self.buffers, self._kernel.products())

    @cached_property
    def _sweeps(self) -> list[tuple[Call, list[Turn], Call]]:
        d_hidden, together, sweeps = self.d_state[0], self.buffers.ranks > 1, []
        for before, steps, after in self._kernel.sweeps():
            turns: list[Turn] = []
            for t, d_output, differentiate, d_sums, finish, d_after, d_before, _ in steps:
                if self._zoneout is not None:
                    differentiate = in_turn([self._zoneout.split(t, d_after), differentiate])
                    finish = in_turn([finish or nothing, self._zoneout.join(d_before)])
                into = self.buffers.parts[t % 2][0] if together else d_hidden
                multiply = bind_product(self._hidden_weights[:, : len(d_sums)], d_sums, into)
                turns.append((t, d_after, d_output, differentiate, multiply, finish))
            sweeps.append((before, turns, after))
        return sweeps

    @property
    def first(self) -> State:
        """See the class."""
        return self.states[0]

    @property
    def last(self) -> State:
        """See the class."""
        return self.states[-1]

    def forward(
        self,
        weights: Weights,
        masks: Masks | None = None,
        table: Array | None = None,
        indices: Array | None = None,
        rng: np.random.Generator | None = None,
    ) -> Pass[None]:
        """Run the layer over the inputs from ``first`` to ``last``.

        A layer made for no inputs takes the place of ``W_x·x`` from `table` ``(rows·U, V)``: the column of the index,
        for `indices` ``(T, B)``. Zoneout draws from `rng`, and without one is its expectation.
        """
        buffers, states, columns, aside, add = self.buffers, self.states, self._columns, self._aside, np.add
        table = self._kernel.load(weights, table)
        if self._zoneout is not None:
            self._zoneout.draw(rng)
        buffers.start(masks, states[0], aside)
        together = buffers.ranks > 1
        if masks is None and table is None and not together:
            self._forward_at_once(weights[0])
            return
        self._load(weights[0])
        shown = buffers.shown
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
        if masks is None and not together:
            self._backward_at_once()
            return
        self._load_backward()
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
        self._products(d_weights[0])
        self._kernel.weight_gradient(d_weights)


# What is kept for an array must not refer to the loop, which keeps it.


def after_loads(buffers: Buffers, rest: Call) -> ByArray:
    """For a matrix of parameters: put this rank's rows into `buffers`, and then do the `rest`."""
    return ByArray(lambda matrix: in_turn([*buffers.loads(matrix), rest]))


def before_stores(buffers: Buffers, first: list[Call]) -> ByArray:
    """For a matrix of gradients: do what comes `first`, and then write this rank's rows of it."""
    return ByArray(lambda d_matrix: in_turn([*first, *buffers.stores(d_matrix)]))
