"""`open_lines`: from an address to lines of text."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from ..sources import Opening, SourceError, Streams, Transport, open_transport
from ..sources.source import WHOLE, Chunk
from .inflate import Inflater
from .lines import Lines, LineSplitter

__all__ = ["TextLines", "open_lines"]


class _Stream:
    """The bytes of one stream, which become lines. What may be `packed` is unpacked, where it is gzip."""

    def __init__(self, *, packed: bool) -> None:
        self._inflater, self.splitter = Inflater() if packed else None, LineSplitter()

    def feed(self, data: bytes) -> list[Lines]:
        """Those that end in `data`. Raises SourceError."""
        pieces = [data] if self._inflater is None else self._inflater.feed(data)
        return [self.splitter.feed(piece) for piece in pieces]

    def finish(self) -> list[Lines]:
        """The last one, which needs no end. Raises SourceError."""
        rest = b"" if self._inflater is None else self._inflater.finish()
        return [self.splitter.feed(rest), self.splitter.finish()]


class TextLines(AsyncIterator[str]):
    """The lines that `transport` brings, as they come, each a text without its end; blank ones are left out.

    Each of its streams has lines of its own. ``rejected`` counts what is no line of text: bytes that are no UTF-8, more
    than 1 MiB, and what has broken off before its end. A connection with a line that does not end there, or with other
    bytes, as UTF-16, is closed. Of a file or a pipe gzip is unpacked; of a connection it is no text, because little of
    it can become very much. Raises SourceError where a file or a pipe has other bytes.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._streams: dict[int, _Stream | None] = {}  # None: it was refused
        self._ready = deque[str]()
        self._ended, self.rejected = False, 0

    async def __anext__(self) -> str:
        await trio.lowlevel.checkpoint()
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            try:
                self._take(await self._transport.receive())
            except trio.EndOfChannel:
                self._ended = True
                for number in [*self._streams]:
                    self._take(Chunk(b"", "", {}, number, WHOLE))
        return self._ready.popleft()

    def _take(self, chunk: Chunk) -> None:
        """Put the lines that end in `chunk` behind those that are ready. Raises SourceError."""
        number, data, kind = chunk.stream, chunk.data, self._transport.streams
        if number not in self._streams:
            self._streams[number] = _Stream(packed=kind in (Streams.ONE, Streams.FILES))
            if kind == Streams.MESSAGES:  # behind an empty line nothing says what all the others are
                data = b"\n" + data
        stream = self._streams[number]
        if stream is not None:
            try:
                self._add(stream.feed(data))
                if chunk.ends == WHOLE:
                    self._add(stream.finish())
                elif chunk.ends:
                    self.rejected += bool(stream.splitter.abandon()[1].strip())
                strange = stream.splitter.is_long
            except SourceError as error:
                if kind not in (Streams.CONNECTIONS, Streams.ANYBODY):
                    raise SourceError(f"{self._transport.name}: {error}") from None
                strange = True
            if strange and kind in (Streams.CONNECTIONS, Streams.ANYBODY):
                self.rejected += 1
                self._streams[number] = None
                self._transport.refuse(number)
        if chunk.ends:
            del self._streams[number]

    def _add(self, parts: list[Lines]) -> None:
        for lines in parts:
            self.rejected += len(lines.long)
            for line in lines.lines:
                try:
                    text = line.decode().removesuffix("\r")
                except UnicodeDecodeError:
                    self.rejected += 1
                else:
                    if text.strip():
                        self._ready.append(text)


@asynccontextmanager
async def open_lines(
    address: str | os.PathLike[str], *, on_notice: Callable[[str], None] = lambda text: None
) -> AsyncIterator[TextLines]:
    """Open the lines of text at `address`, to be iterated over as they come.

    It is the path of a file or a pipe, ``"-"`` for standard input, or begins with one of
    `recurrio.pipeline.sources.SCHEMES`; only this machine can connect. `on_notice` is told what becomes of connections.

    Raises SourceError where it cannot be opened.
    """
    async with open_transport(Opening(os.fspath(address), notice=on_notice)) as transport:
        yield TextLines(transport)
