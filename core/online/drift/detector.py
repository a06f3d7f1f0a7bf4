"""What a detector of drift is."""

from __future__ import annotations

import math
from typing import Protocol

from ...base.checks import ArgumentError
from ...base.state import Part

__all__ = ["Detector", "check_finite"]


class Detector(Protocol):
    """A detector under its ``name`` in the table, which begins anew after each drift that it has found."""

    name: str

    def update(self, value: float) -> bool:
        """Take in the next number, which is finite; whether the numbers have changed. Raises ArgumentError."""
        ...

    def dump(self) -> Part:
        """All that is kept."""
        ...

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError where it does not fit."""
        ...


def check_finite(value: float) -> float:
    """The `value`. Raises ArgumentError where it is not finite."""
    if not math.isfinite(value):
        raise ArgumentError("value", "a finite number", value)
    return value
