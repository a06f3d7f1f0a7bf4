"""What `RNN`, `LSTM` and `GRU` have in common: torch's shapes and call convention, and the passes.

Shapes, with D directions and P output units (P = `proj_size` or else H)::

    x       (T, B, I), with batch_first (B, T, I), unbatched (T, I)
    output  (T, B, D·P), likewise
    h_n     (L·D, B, P), unbatched (L·D, P);  c_n  (L·D, B, H)

Layers that differ in width have lists of L·D arrays ``(B, P)`` for ``h_n`` and ``c_n``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from ..base.blas import one_blas_thread
from ..base.checks import (
    ArgumentError,
    check_array,
    check_flag,
    check_tape,
    check_unmasked,
    count_parts,
)
from ..base.columns import copy_columns
from ..base.copying import Uncopied
from ..base.parameters import Array
from ..base.ranks import lockstep
from ..cells.buffers import State
from ..cells.masks import Masks, check_lengths
from .pieces import run_in_pieces
from .stack import Stack, StackWorkspace
from .stack_parameters import StackParameters

__all__ = ["Part", "Recurrent", "Tape"]

Part = Array | list[Array]


S = TypeVar("S")


class Tape(Uncopied):
    """What `Recurrent.forward` leaves for `Recurrent.backward`: the workspace of one pass.

    Given to another `forward` with an `x` of the same shape it is used again, so that nothing is allocated. The
    backward pass of the pass before is then no longer possible. It cannot be copied.
    """

    def __init__(self, workspace: StackWorkspace, batched: bool) -> None:
        self.workspace, self.batched = workspace, batched
        self.number = workspace.passes


class Recurrent(StackParameters, Generic[S]):
    """What the three layers have in common: the passes, and the checks at the door. `S` is the type of the state."""

    def __init__(self, stack: Stack, batch_first: bool, seed: int | None) -> None:
        super().__init__(stack, seed)
        self.batch_first = check_flag("batch_first", batch_first)

    @abstractmethod
    def _split(self, name: str, state: S) -> tuple[Part, ...]:
        """The parts of a state. Raises ArgumentError under `name` where it is none."""

    @abstractmethod
    def _join(self, parts: list[Part]) -> S:
        """The state of these parts."""

    def __call__(
        self, x: Array, state: S | None = None, lengths: Array | None = None, reset: Array | None = None
    ) -> tuple[Array, S]:
        """``output, state``, as `forward` gives, in memory that does not grow with the steps beside that of the output.

        Raises ArgumentError.
        """
        columns, batched = self._enter("x", x, self.stack.sizes[0].input_size)
        steps, lanes = columns.shape[1:]
        masks = Masks.of(steps, lanes, *self._check_masks(steps, lanes, batched, lengths, reset))
        carried = [tuple(map(np.copy, parts)) for parts in self._state_in("state", state, lanes, batched)]
        shape = (lanes, steps) if self.batch_first and batched else (steps, lanes)
        output = np.empty((*shape, self.stack.output_size), self.dtype)
        out = output.transpose((2, 1, 0) if self.batch_first and batched else (2, 0, 1))
        weights = self.stack.weights(self.layout.views(self.parameters))
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):  # what is not finite comes out so
            run_in_pieces(self.stack, weights, columns, carried, masks, out)
        return output if batched else output[:, 0], self._state_out(carried, batched)

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite comes out so
    def forward(
        self,
        x: Array,
        state: S | None = None,
        lengths: Array | None = None,
        reset: Array | None = None,
        *,
        rng: np.random.Generator | None = None,
        tape: Tape | None = None,
    ) -> tuple[Array, S, Tape]:
        """Run the layers over `x`; return the output, the state after it, and the tape for `backward`.

        `state` is ``h_0``, for an LSTM ``(h_0, c_0)``; None is zeros. `lengths` ``(B,)`` are whole numbers from 0 to
        T, in any order: steps beyond change no state, and the output there is zero. `reset` ``(T, B)`` bool, or
        ``(B, T)`` with `batch_first`: where it is True the carried state is zeroed before the step, because a new
        sequence starts. Outputs drop out between layers only where an `rng` is given. `tape`: one that may be
        overwritten.

        Raises ArgumentError.
        """
        columns, batched = self._enter("x", x, self.stack.sizes[0].input_size)
        steps, lanes = columns.shape[1:]
        workspace = None if tape is None else self._workspace_of(tape)
        if workspace is None or workspace.shape != (steps, lanes):
            workspace = StackWorkspace(self.stack, steps, lanes, input_gradient=True)
        masks = Masks.of(steps, lanes, *self._check_masks(steps, lanes, batched, lengths, reset))
        carried = [tuple(map(np.copy, parts)) for parts in self._state_in("state", state, lanes, batched)]
        workspace.write(slice(None), columns if masks is None else np.where(masks.padding, 0, columns))
        weights = self.stack.weights(self.layout.views(self.parameters))
        with one_blas_thread():
            lockstep([workspace.forward(weights, carried, masks, rng=rng)])
        output = self._leave(workspace.one_and_outputs[1:].reshape(-1, steps, lanes), batched)
        return output, self._state_out(carried, batched), Tape(workspace, batched)

    @np.errstate(over="ignore", invalid="ignore")
    def backward(self, tape: Tape, d_output: Array, d_state: S | None = None) -> tuple[Array, S, dict[str, Array]]:
        """From the gradients of the output and of the state after it (None: zero) to those of what went in.

        Returns ``d_x`` and ``d_state``, shaped like ``x`` and the state, and a dict of gradients under the names of
        the state dict. Raises ArgumentError.
        """
        workspace, batched = self._workspace_of(tape), tape.batched
        if tape.number != workspace.passes:
            raise ArgumentError("tape", "one that no later pass has overwritten", "an old one")
        steps, lanes = workspace.shape
        columns, d_batched = self._enter("d_output", d_output, self.stack.output_size)
        if columns.shape[1:] != (steps, lanes) or d_batched != batched:
            raise ArgumentError("d_output", f"{steps} steps of {lanes} lanes, as in the output", d_output.shape)
        workspace.write_d_outputs(slice(None), columns)
        for kernel, gradients in zip(
            workspace.kernels, self._state_in("d_state", d_state, lanes, batched), strict=True
        ):
            for last, gradient in zip(kernel.d_state, gradients, strict=True):
                np.copyto(last, gradient)
        flat = np.empty_like(self.parameters)
        views = self.stack.weights(self.layout.views(flat))
        with one_blas_thread():
            lockstep([workspace.backward()])
            workspace.weight_gradient(views)
        assert workspace.d_inputs is not None
        d_x = self._leave(workspace.d_inputs.T.reshape(-1, steps, lanes), batched)
        d_first = self._state_out([kernel.d_state for kernel in workspace.kernels], batched)
        return d_x, d_first, self.stack.to_torch(views)

    @np.errstate(over="ignore", invalid="ignore")
    def step(self, x: Array, state: S | None = None) -> tuple[Array, S]:
        """One step, for streaming: `x` ``(B, I)`` or ``(I,)`` and the state before it; the output and the state after.

        Layers of one direction only. Raises ArgumentError.
        """
        if self.stack.directions == 2:
            raise ArgumentError("layer", "one direction for single steps", "bidirectional=True")
        batched = np.ndim(x) != 1
        check_array("x", x, (*("B",) * batched, self.stack.sizes[0].input_size), self.dtype)
        columns = x.T if batched else x[:, None]
        carried = self._state_in("state", state, columns.shape[1], batched)
        weights = self.stack.weights(self.layout.views(self.parameters))
        columns = self.stack.step(weights, columns, carried)
        return np.ascontiguousarray(columns.T if batched else columns[:, 0]), self._state_out(carried, batched)

    def _workspace_of(self, tape: Tape) -> StackWorkspace:
        check_tape(tape, Tape)
        if tape.workspace.stack is not self.stack:
            raise ArgumentError("tape", "one of this layer", "one of another")
        return tape.workspace

    def _enter(self, name: str, array: Array, features: int) -> tuple[Array, bool]:
        """Check an array in the layout of `x`; return it as columns ``(features, T, B)``, and whether it has lanes."""
        batched = getattr(array, "ndim", 2) != 2
        lanes_and_steps = ("B", "T") if self.batch_first else ("T", "B")
        check_array(name, array, (*(lanes_and_steps if batched else ("T",)), features), self.dtype)
        if not array.size:
            raise ArgumentError(name, "at least one step and one lane", array.shape)
        if not batched:
            return array.T[:, :, None], False
        return array.transpose((2, 1, 0) if self.batch_first else (2, 0, 1)), True

    def _leave(self, columns: Array, batched: bool) -> Array:
        """A copy of `columns` ``(features, T, B)`` in the layout of `x`."""
        features, steps, lanes = columns.shape
        if not batched:
            return columns[:, :, 0].T.copy()
        left = np.empty((lanes, steps, features) if self.batch_first else (steps, lanes, features), self.dtype)
        copy_columns(columns, left.transpose((2, 1, 0) if self.batch_first else (2, 0, 1)))
        return left

    def _check_masks(
        self, steps: int, lanes: int, batched: bool, lengths: Array | None, reset: Array | None
    ) -> tuple[Array | None, Array | None]:
        check_unmasked("lengths", lengths)
        check_unmasked("reset", reset)
        if lengths is not None:
            lengths = np.atleast_1d(lengths)
            check_lengths(lengths, steps, lanes)
        if reset is not None:
            reset = np.asarray(reset)
            shape = (lanes, steps) if self.batch_first else (steps, lanes)
            check_array("reset", reset, shape if batched else (steps,), np.dtype(bool))
            reset = (reset.T if self.batch_first else reset) if batched else reset[:, None]
        return lengths, reset

    def _state_in(self, name: str, state: S | None, lanes: int, batched: bool) -> list[State]:
        """Views of a state as columns, for all layers and directions a tuple of arrays ``(units, B)``."""
        if state is None:
            return self.stack.initial_state(lanes)
        columns: list[list[Array]] = []
        for part, units in zip(self._split(name, state), self.stack.state_sizes, strict=True):
            same, lane = len(set(units)) == 1, (lanes,) if batched else ()
            if same:
                check_array(name, part, (len(units), *lane, units[0]), self.dtype)
            elif not isinstance(part, Sequence) or len(part) != len(units):
                raise ArgumentError(name, f"a list of {len(units)} arrays, one for each layer", count_parts(part))
            for own, size in zip(part, units, strict=True):
                if not same:
                    check_array(name, own, (*lane, size), self.dtype)
            columns.append([own.T if batched else own[:, None] for own in part])
        return list(zip(*columns, strict=True))

    def _state_out(self, carried: list[State], batched: bool) -> S:
        def part(number: int) -> Part:
            arrays = [one[number].T if batched else one[number][:, 0] for one in carried]
            same = len({array.shape for array in arrays}) == 1
            return np.array(arrays) if same else [array.copy() for array in arrays]

        return self._join([part(number) for number in range(len(carried[0]))])
