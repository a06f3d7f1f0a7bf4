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


def check_lengths(lengths: Array, steps: int, lanes: int) -> None:
    """Raise ArgumentError unless `lengths` are `B` whole numbers from 0 to `T`."""
    check_array("lengths", lengths, (lanes,))
    if lengths.dtype.kind not in "iu" or lengths.min() < 0 or lengths.max() > steps:
        raise ArgumentError("lengths", f"whole numbers from 0 to {steps} (T)", f"{lengths.dtype} {lengths}")


def present_steps(steps: int, lengths: Array) -> Array:
    """``(T, B)``, True where a step exists."""
    return np.less(np.arange(steps)[:, None], lengths)


class Masks:
    """`padding` ``(T, B)``, True where a step does not exist; `restart` ``(T, B)``, True where a lane starts anew.

    A restart in the padding counts for nothing. ``present`` is the opposite of ``padding``.
    """

    def __init__(self, padding: Array, restart: Array) -> None:
        self.padding: Array = padding
        self.present: Array = np.logical_not(padding)
        self.restart: Array = np.zeros((len(padding) + 1, padding.shape[1]), bool)
        np.logical_and(restart, self.present, out=self.restart[:-1])
        self._pads: list[bool] = np.any(self.padding, axis=1).tolist()
        self._restarts: list[bool] = np.any(self.restart, axis=1).tolist()

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

    def start(self, state: Carried) -> None:
        """Before the first step."""
        self._zero(0, state)

    def hold(self, step: int, before: Carried, after: Carried, output: Array) -> None:
        """After a step: from the carried state `before` it and its result `after`, make what is carried on.

        `output` takes what the layer shows of the step, the first part of the state.
        """
        if self._pads[step]:
            for old, new in zip(before, after, strict=True):
                np.copyto(new, old, where=self.padding[step])
        np.copyto(output, after[0])
        if self._pads[step]:
            np.copyto(output, 0, where=self.padding[step])
        self._zero(step + 1, after)

    def take_back(self, step: int, d_state: Carried, kept: Carried) -> None:
        """Backward, before the work of a step: leave in `d_state` what flows into it, in `kept` what passes by it."""
        self._zero(step + 1, d_state)
        if self._pads[step]:
            for gradient, aside in zip(d_state, kept, strict=True):
                aside.fill(0)
                np.copyto(aside, gradient, where=self.padding[step])
                np.copyto(gradient, 0, where=self.padding[step])

    def give_back(self, step: int, d_state: Carried, kept: Carried) -> None:
        """Backward, after the work of a step: add what passed by it."""
        if self._pads[step]:
            for gradient, aside in zip(d_state, kept, strict=True):
                np.add(gradient, aside, gradient)

    def finish(self, d_state: Carried) -> None:
        """Backward, after the first step."""
        self._zero(0, d_state)

    def _zero(self, step: int, carried: Carried) -> None:
        if self._restarts[step]:
            for part in carried:
                np.copyto(part, 0, where=self.restart[step])
