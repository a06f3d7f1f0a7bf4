"""Variable lengths and new sequences: which steps of which lanes exist, and where a lane starts anew.

Two rules, applied to what a layer carries from step to step (hidden and cell state, each ``(units, B)``): at a step
that does not exist (padding) the carried state stays as it was and the output is zero; where a new sequence starts
the carried state is zeroed before the step. The gradient follows: through padding it passes unchanged, and across a
start it does not pass.
"""

from __future__ import annotations

import numpy as np

from ..base.checks import ArgumentError, check_array
from ..base.parameters import Array

__all__ = ["Masks", "check_lengths", "mask_arrays", "present_steps"]

Carried = tuple[Array, ...]


def mask_arrays(steps: int, lanes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """The shapes and dtypes of what masks are made from."""
    return {"reset": ((steps, lanes), np.dtype(bool)), "lengths": ((lanes,), np.dtype(np.int64))}


def check_lengths(lengths: Array, steps: int, lanes: int, argument: str = "lengths") -> None:
    """Raise ArgumentError unless `lengths` are `B` whole numbers from 0 to `T`."""
    check_array(argument, lengths, (lanes,))
    if lengths.dtype.kind not in "iu" or lengths.min() < 0 or lengths.max() > steps:
        raise ArgumentError(argument, f"whole numbers from 0 to {steps} (T)", f"{lengths.dtype} {lengths}")


def present_steps(steps: int, lengths: Array) -> Array:
    """``(T, B)``, True where a step exists."""
    return np.less(np.arange(steps)[:, None], lengths)


class Masks:
    """`padding` ``(T, B)``, True where a step does not exist; `restart` ``(T, B)``, True where a lane starts anew.

    A restart in the padding counts for nothing. ``present`` is the opposite of ``padding``, and ``pads`` says whether
    there is any.

    While a lane is in its padding what it carries is put `aside`, and zeros run in its place: the steps that do not
    exist then compute with finite numbers, whatever is carried, and a gradient of zero stays one.
    """

    def __init__(self, padding: Array, restart: Array) -> None:
        steps, lanes = padding.shape
        self.padding: Array = padding
        self.present: Array = np.logical_not(padding)
        # What there is at each step, and before it; at both ends no lane is in its padding.
        marks = np.zeros((4, steps + 1, lanes), bool)
        self.restart, self._enter, self._leave, pads = marks
        np.logical_and(restart, self.present, out=self.restart[:-1])
        self.pads = bool(np.logical_or.reduce(padding, axis=None))
        if self.pads:
            pads[:-1] = padding
            self._enter[0], self._leave[-1] = padding[0], padding[-1]
            np.greater(padding[1:], padding[:-1], out=self._enter[1:-1])
            np.less(padding[1:], padding[:-1], out=self._leave[1:-1])
        some = np.logical_or.reduce(marks, axis=2).tolist()
        self._restarts, self._enters, self._leaves, self._pads = some

    @staticmethod
    def of(steps: int, lanes: int, lengths: Array | None, reset: Array | None) -> Masks | None:
        """The masks for `lengths` ``(B,)`` and `reset` ``(T, B)``; None where both are missing."""
        if lengths is None and reset is None:
            return None
        shape = (steps, lanes)
        padding = np.zeros(shape, bool) if lengths is None else ~present_steps(steps, lengths)
        return Masks(padding, np.zeros(shape, bool) if reset is None else reset)

    def reversed(self) -> Masks:
        """The same for the opposite direction, in the order of its steps.

        A sequence that starts at step t is, the other way round, one that ends there: the next starts at t − 1.
        """
        restart = np.zeros_like(self.padding)
        restart[1:] = self.restart[1:-1][::-1]
        return Masks(self.padding[::-1], restart)

    def start(self, state: Carried, aside: Carried) -> None:
        """Before the first step."""
        self._pass(0, state, aside, self._enters, self._enter, self._leaves, self._leave)
        self._zero(0, state)

    def hold(self, step: int, after: Carried, output: Array, aside: Carried) -> None:
        """After a step: from its result `after`, make what is carried on.

        `output` takes what the layer shows of the step, the first part of the state.
        """
        if self._pads[step]:
            for part in after:
                np.copyto(part, 0, where=self.padding[step])
        np.copyto(output, after[0])
        self._pass(step + 1, after, aside, self._enters, self._enter, self._leaves, self._leave)
        self._zero(step + 1, after)

    def take_back(self, step: int, d_state: Carried, aside: Carried) -> None:
        """Backward, before the work of a step: leave in `d_state` what flows into it. With a step of −1, at the end."""
        self._zero(step + 1, d_state)
        self._pass(step + 1, d_state, aside, self._leaves, self._leave, self._enters, self._enter)

    def _pass(
        self, step: int, carried: Carried, aside: Carried, going: list[bool], go: Array, coming: list[bool], come: Array
    ) -> None:
        """Put the lanes aside that `go`, and take those back that `come`."""
        if going[step]:
            for part, kept in zip(carried, aside, strict=True):
                np.copyto(kept, part, where=go[step])
                np.copyto(part, 0, where=go[step])
        if coming[step]:
            for part, kept in zip(carried, aside, strict=True):
                np.copyto(part, kept, where=come[step])

    def _zero(self, step: int, carried: Carried) -> None:
        if self._restarts[step]:
            for part in carried:
                np.copyto(part, 0, where=self.restart[step])
