"""What a source of bytes is to those who read it: chunks, each with the position behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

__all__ = ["Chunk", "Position", "SourceError", "Transport"]

Position = Mapping[str, int | str]
"""A place in a source, as JSON: what begins there is what comes behind it."""


class SourceError(Exception):
    """A source has nothing to train on, or something that is no training data. Its message names the source."""


class Chunk(NamedTuple):
    """`data` as it came from `origin`, which messages name; ``after`` is the position behind it."""

    data: bytes
    origin: str
    after: Position


class Transport(Protocol):
    """Brings bytes, a chunk at a time. Chunks are cut anywhere, and mean nothing; it is an async context manager."""

    name: str
    rewindable: bool  # whether it can be opened at any position that it gave

    @property
    def position(self) -> Position:
        """Where the next chunk begins."""
        ...

    async def receive(self) -> Chunk:
        """Wait for the next chunk, which is not empty; a wait that is cancelled loses nothing.

        Raises trio.EndOfChannel at the end, SourceError where it cannot be read.
        """
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...
