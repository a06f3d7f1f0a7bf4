"""What can be written down and taken up again: a part of a training's state, and what has one."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from .parameters import Array

__all__ = ["Checkpointable", "Part"]


class Part(NamedTuple):
    """``arrays`` by name, and ``about``, what else there is, as plain JSON."""

    arrays: dict[str, Array]
    about: dict[str, Any]


class Checkpointable(Protocol):
    """What has a state between two batches."""

    def dump(self) -> Part:
        """A copy of the state."""
        ...

    def load(self, part: Part) -> None:
        """Take up a state that `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        ...
