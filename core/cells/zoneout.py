"""Zoneout: in training each unit of the state keeps its old value by chance; otherwise it takes the expectation.

With ``s`` a part of the state before a step, ``s'`` what the cell makes of it, and the probability ``p``::

    k = 1 with probability p, or else 0; where nothing is drawn, k = p
    what is carried on, and shown, is k ⊙ s + (1 − k) ⊙ s'

``k`` is drawn for each unit, step and lane, and in an LSTM for the hidden state and the cells apart; the output of a
step is made of the cells before they are mixed.

Source: Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations" (2016).
"""

from __future__ import annotations

import numpy as np

from ..base.arena import Arena
from ..base.compiled import Call
from ..base.parameters import Array
from .buffers import State

__all__ = ["Zoneout", "mixed"]


def mixed(p: float, before: State, after: State) -> State:
    """The expectation of a step from the state `before` to `after`."""
    return tuple(new - new.dtype.type(p) * (new - old) for old, new in zip(before, after, strict=True))


class Zoneout:
    """That of a loop with `T` steps, whose parts of the state have the shapes of `d_state`, ``(units, B)`` each."""

    def __init__(self, p: float, steps: int, d_state: State, arena: Arena) -> None:
        self._p = p
        self._kept = [arena.empty((steps, *part.shape), part.dtype) for part in d_state]
        self._d_kept, self._scratch = ([arena.empty(part.shape, part.dtype) for part in d_state] for _ in range(2))

    def draw(self, rng: np.random.Generator | None) -> None:
        """Before a forward pass: draw what is kept; without `rng` it is the expectation."""
        for kept in self._kept:
            if rng is None:
                kept.fill(self._p)
            else:
                np.less(rng.random(kept.shape, np.float32), self._p, out=kept, casting="unsafe")

    def mix(self, step: int, before: State, after: State) -> Call:
        """A call that makes of the state `after` a step what is carried on."""
        parts = list(zip((kept[step] for kept in self._kept), self._scratch, before, after, strict=True))

        def run() -> None:
            for kept, scratch, old, new in parts:  # so that what is kept is kept to the bit
                np.multiply(kept, new, scratch)
                np.subtract(new, scratch, new)
                np.multiply(kept, old, scratch)
                np.add(new, scratch, new)

        return run

    def split(self, step: int, d_after: State) -> Call:
        """Backward, a call that leaves in `d_after` what goes through the cell, and puts the rest aside."""
        parts = list(zip((kept[step] for kept in self._kept), self._d_kept, d_after, strict=True))

        def run() -> None:
            for kept, aside, d_new in parts:
                np.multiply(kept, d_new, aside)
                np.subtract(d_new, aside, d_new)

        return run

    def join(self, d_before: State) -> Call:
        """Behind the cell: a call that adds the rest to the gradient of the state before the step."""
        parts: list[tuple[Array, Array]] = list(zip(self._d_kept, d_before, strict=True))

        def run() -> None:
            for aside, d_old in parts:
                np.add(d_old, aside, d_old)

        return run
