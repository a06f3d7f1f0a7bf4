"""What every optimizer has in common: its slots, a step that can be taken back, and its state as a part."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod

import numpy as np

from ..base.checks import ArgumentError, check_array, check_count, check_number, check_unmasked, kind_of
from ..base.parameters import Array
from ..base.shown import show_call
from ..base.state import Part

__all__ = ["Optimizer", "Slots", "is_finite"]

Slots = dict[str, Array]


class Optimizer(ABC):
    """An optimizer of one flat vector of parameters.

    Its state is ``steps``, how many have been made, and ``slots``, vectors like the parameters by name. They are made
    at the first step. `lr` may be set between any two steps, to a finite number from 0. One optimizer is for one vector
    of parameters. Its `repr` shows the options, not the state.

    A class of its own says what its slots are (`initial`), and what a step is (`update`). Each step writes the slots
    anew, beside those before it, so that `undo` can take it back: the loop does that where the result is not finite.
    """

    steps = 0
    _lr: float
    _spare: Slots | None = None  # None: nothing to take back
    _scratch: Array | None = None  # made with the slots; any content

    def __init__(self) -> None:
        self.slots: Slots = {}

    def __repr__(self) -> str:
        return show_call(self)

    def __copy__(self) -> Optimizer:
        """A copy has slots of its own, however it is made: a step writes into them."""
        return copy.deepcopy(self)

    @property
    def lr(self) -> float:
        """The learning rate of the next step. A schedule can set it to 0, but to nothing that is not finite."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = check_number("lr", value, 0)

    def initial(self) -> dict[str, float]:
        """The names of the slots, and what each is filled with before the first step."""
        return {}

    @abstractmethod
    def update(self, parameters: Array, gradient: Array, out: Array, before: Slots, after: Slots) -> None:
        """The step number ``steps``, from 1: write the next parameters into `out`, the next slots into `after`.

        `out` may be `parameters`. The other vectors stay as they are; ``scratch`` is one to write in.
        """

    @property
    def scratch(self) -> Array:
        """A vector like the parameters, with anything in it."""
        assert self._scratch is not None
        return self._scratch

    def step(self, parameters: Array, gradient: Array, out: Array | None = None) -> None:
        """Write the updated `parameters` into `out`, by default in their place. `gradient` stays as it is.

        All are vectors of one shape and dtype, the same at every step. Raises ArgumentError.
        """
        if self._scratch is None:
            check_array("parameters", parameters, ("N",))
        else:
            _check_like(self._scratch, "that of the first step", "parameters", parameters)
        _check_like(parameters, "parameters (see Module.flatten)", "gradient", gradient)
        if out is not None:
            _check_like(parameters, "parameters", "out", out)
        if self._scratch is None:
            self._make(parameters)
        assert self._spare is not None
        self.steps += 1
        try:
            self.update(parameters, gradient, parameters if out is None else out, self.slots, self._spare)
        except BaseException:
            self.steps -= 1
            raise
        self.slots, self._spare = self._spare, self.slots

    def is_finite(self, out: Array) -> bool:
        """Whether the last step gave finite parameters, in `out`, and finite slots.

        Call it under ``np.errstate(over="ignore", invalid="ignore")``.
        """
        return is_finite(out) and all(map(is_finite, self.slots.values()))

    def undo(self) -> None:
        """Take the last step back, as if it had not been made; once, and not after a `load`."""
        assert self._spare is not None
        self.steps -= 1
        self.slots, self._spare = self._spare, self.slots

    def _make(self, like: Array) -> None:
        self.slots = {name: np.full_like(like, value) for name, value in self.initial().items()}
        self._spare = {name: np.empty_like(like) for name in self.slots}
        self._scratch = np.empty_like(like)

    def reset(self) -> None:
        """Forget everything but the options: the next step is the first."""
        self.steps, self.slots, self._spare, self._scratch = 0, {}, None, None

    def dump(self) -> Part:
        """The slots, the number of steps and the learning rate."""
        about = {"kind": type(self).__name__, "steps": self.steps, "lr": self.lr}
        return Part({name: slot.copy() for name, slot in self.slots.items()}, about)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it is of another optimizer."""
        if (kind := part.about.get("kind")) != type(self).__name__:
            raise ArgumentError("optimizer", f"the state of an {type(self).__name__}", kind)
        steps = check_count("steps", part.about.get("steps"), 0)
        lr = check_number("lr", part.about.get("lr"), 0)
        names = set(self.initial()) if steps else set()
        if set(part.arrays) != names:
            raise ArgumentError("slots", f"{', '.join(sorted(names)) or 'none'}", ", ".join(part.arrays) or "none")
        like = self._scratch if self._scratch is not None or not part.arrays else next(iter(part.arrays.values()))
        for name, slot in part.arrays.items():
            check_array(name, slot, ("N",))
            assert like is not None
            _check_like(like, "the others", name, slot)
        if like is None or not steps:
            self.slots, self._spare, self._scratch = {}, None, None
        else:
            self._make(like)
        for name, slot in part.arrays.items():
            np.copyto(self.slots[name], slot)
        self.lr, self.steps = lr, steps


def is_finite(vector: Array) -> bool:
    """Whether all elements are. A product takes a third of the time, and is finite only where they all are."""
    return math.isfinite(np.dot(vector, vector)) or bool(np.isfinite(vector).all())


def _check_like(like: Array, expected: str, argument: str, vector: object) -> None:
    if type(vector) is np.ndarray and vector.shape == like.shape and vector.dtype == like.dtype:
        return
    check_unmasked(argument, vector)
    if not isinstance(vector, np.ndarray) or vector.shape != like.shape or vector.dtype != like.dtype:
        raise ArgumentError(argument, f"a vector like {expected}, {like.dtype} {like.shape}", kind_of(vector))
