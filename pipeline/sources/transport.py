"""What a source of bytes is to those who read it, and what it is told when it is opened."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import trio

from .address import shown
from .journal import Journal
from .source import Chunk, Position, SourceError, Streams

__all__ = ["Opening", "Transport"]


class Transport(trio.abc.ReceiveChannel[Chunk]):
    """Brings bytes, a chunk at a time. Chunks are cut anywhere, and mean nothing; it is an async context manager.

    ``name`` stands for it in messages. Where it is ``rewindable`` it can be opened at any position that it gave; while
    it ``replays`` what it brings has come in an earlier process; where it is ``complete`` nothing happens to it while
    nobody receives. ``streams`` says what its streams are, ``messages`` whether their bytes are lines in any case, and
    ``waits`` whether whoever sends does so where nobody receives. What is ``journaled`` is so though it can go back.
    """

    name: str
    rewindable = False
    replays = False
    complete = False
    streams = Streams.ONE
    messages = False
    waits = True
    journaled = False

    @property
    @abstractmethod
    def position(self) -> Position:
        """Where the next chunk begins."""

    @abstractmethod
    async def receive(self) -> Chunk:
        """Wait for the next chunk, which is empty only where a stream ends; a wait that is cancelled loses nothing.

        Raises trio.EndOfChannel at the end, SourceError where it cannot be read.
        """

    def rewind(self, position: Position) -> None:
        """Begin again at `position`, before anything has been received. Raises SourceError where it cannot."""
        raise SourceError(f"{self.name}: can be read only once, so it cannot begin at a position")

    def before(self, chunk: Chunk, position: Position) -> Position:
        """The `position` where `chunk` began, with what is known of the source by what came."""
        return position

    def came(self, chunk: Chunk) -> float:
        """When `chunk`, which has just been received, was read, by trio's clock; NaN where that means nothing."""
        if self.complete:
            return math.nan
        return trio.current_time() if chunk.came is None else chunk.came

    def refuse(self, stream: int) -> None:
        """Bring no more of this stream, if it can be closed."""

    @property
    def counts(self) -> Mapping[str, int]:
        """What has become of its connections and files, by names for a report."""
        return {}


def ignore(text: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Opening:
    """How a source is to be opened: its whole `address`, and at which `position`, if any.

    `allow_remote` lets it listen to other machines, `allow_gap` lets it go on where a part is gone; `greeting` is sent
    to a server once it is connected; `notice` is told what a user may want to know meanwhile. What comes from a source
    that cannot go back is written to `journal`, if there is one, or with `only_journal` comes from there alone;
    `on_full` is called where it has become too long.
    """

    address: str
    position: Position | None = None
    allow_remote: bool = False
    greeting: str | None = None
    allow_gap: bool = False
    notice: Callable[[str], None] = ignore
    journal: Journal | None = None
    only_journal: bool = False
    on_full: Callable[[], object] = int

    @property
    def shown(self) -> str:
        """The address as messages have it; see `recurrio.pipeline.sources.address.shown`."""
        return shown(self.address)
