"""What comes from a source of bytes: chunks, each with the position behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import NamedTuple

__all__ = ["CUT", "GONE", "WHOLE", "Chunk", "Position", "SourceError", "Streams"]

Position = Mapping[str, int | str]
"""A place in a source, as JSON: what begins there is what comes behind it."""


class SourceError(Exception):
    """A source has nothing to train on, or something that is no training data. Its message names the source."""


WHOLE, CUT, GONE = "whole", "cut", "gone"


class Chunk(NamedTuple):
    """`data` as it came from `origin`, which messages name; ``after`` is the position behind it.

    A source may bring several streams of bytes, as connections are, each of which begins for itself: `stream` is the
    number of this one, and no number comes again; below 0 it is of whole lines that somebody numbers. `ends` is empty
    but in the last chunk of a stream: then it is WHOLE where its sender has closed it, and CUT where it broke off, and
    what has no end there is no record; and GONE where what stood at the position it was to go on at is not there any
    more. `came` is when it was read, by trio's clock, where it has waited since. `acknowledge` is to be called when it
    is safe. `stored` is the file that has the data too, and from which byte on.
    """

    data: bytes
    origin: str
    after: Position
    stream: int = 0
    ends: str = ""
    came: float | None = None
    acknowledge: Callable[[], None] | None = None
    stored: tuple[str, int] | None = None


class Streams(IntEnum):
    """What the streams of a source are, and what a fault in the bytes of one costs."""

    ONE = 0
    """A single one, as of a file: a fault ends the source."""
    FILES = 1
    """One behind the other, as of a log that is rotated: once a record has fitted, a fault costs that stream alone."""
    CONNECTIONS = 2
    """Likewise, and one can be closed, as it is where a line is too long."""
    ANYBODY = 3
    """Connections of whoever makes them: a fault never ends the source, and strangers are closed."""
    MESSAGES = 4
    """A single one, of whole lines from anybody: nothing at its start says what it is, and a fault costs its line."""
