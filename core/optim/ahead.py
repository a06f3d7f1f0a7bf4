"""Weights ahead of their time: what makes up for a delay.

With a delay d the gradient of a batch is of weights that are d updates old when it is applied. So batches are computed
with ``w + d·(w − w_before)`` instead, where the weights w will be about then if they go on as with the last update.
"""

from __future__ import annotations

import numpy as np

from ..base.checks import ArgumentError
from ..base.parameters import Array
from ..base.state import Part

__all__ = ["Ahead"]


class Ahead:
    """The weights themselves, where the versions of the parameters are `delay` updates ahead of them.

    It is what error feedback comes to for a delay of 1: the difference of the last two updates is added to the next.
    Source: Chen, Yang, Cheng, "Efficient and robust parallel DNN training through model parallelism on multi-GPU
    platform" (2018), for the prediction of weights.
    """

    def __init__(self, delay: int) -> None:
        self.delay = delay
        self._own: Array | None = None  # None: no update yet, or somebody else has written the parameters
        self._before = self._next = np.zeros(0)

    def follow(self, parameters: Array) -> None:
        """The latest version is this one; where it is not what was written, all begins anew from it."""
        if self._own is not None and not np.array_equal(self._ahead(np.empty_like(parameters)), parameters):
            self._own = None

    def begin(self, parameters: Array) -> tuple[Array, Array]:
        """The weights that the version `parameters` is ahead of, and room for the next ones."""
        if self._own is None:
            self._own, self._before = parameters.copy(), parameters.copy()
            self._next = np.empty_like(parameters)
        return self._own, self._next

    def end(self, out: Array, *, jumped: bool) -> None:
        """The next ones are there: write the version into `out`. Where they have `jumped`, it is what they are."""
        assert self._own is not None
        self._own, self._before, self._next = self._next, self._own, self._before
        if jumped:
            np.copyto(self._before, self._own)
        self._ahead(out)

    @np.errstate(over="ignore", invalid="ignore")
    def _ahead(self, out: Array) -> Array:
        assert self._own is not None
        np.subtract(self._own, self._before, out)
        np.multiply(out, self.delay, out)
        return np.add(out, self._own, out)

    def reset(self) -> None:
        """Begin anew."""
        self._own = None

    def dump(self) -> Part:
        """The last weights, and those before, if there are any."""
        arrays = {} if self._own is None else {"own": self._own.copy(), "before": self._before.copy()}
        return Part(arrays, {"delay": self.delay})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        if part.about.get("delay") != self.delay:
            raise ArgumentError("delay", str(self.delay), part.about.get("delay"))
        self._own = None
        if part.arrays:
            own = part.arrays["own"]
            self._own, self._before = own.copy(), part.array("before", own.shape, own.dtype).copy()
            self._next = np.empty_like(own)
