"""Bytes that come over connections, each of which is a stream of its own."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import partial
from itertools import count

import trio

from ..flow.group import open_group
from .numbered import MAGIC, NumberedLines, Producers
from .source import CUT, WHOLE, Chunk, Position, Streams
from .transport import Transport

__all__ = ["Connections"]

CHUNK, SMALL = 1 << 19, 1 << 14  # bytes of a chunk at most; and where each connection may have one in hand
READY = 2  # chunks that wait, so that one can be read while another is handed on
IDLE = 3600.0  # seconds after which one that is silent is closed
MOST = 1024  # that are open at once


class Connections(Transport):
    """What comes over the connections that it is told to `take`, each a chunk in turn.

    Where nobody receives, nothing is read, so that those who send have to wait. One that has been silent for an hour is
    closed, and so is the one that has been silent for longest where there are more than `MOST`. Where `producers` are
    known they can number their lines, and wait until these are safe: see `recurrio.pipeline.sources.numbered`.
    """

    def __init__(self, name: str, streams: Streams, producers: Producers | None = None) -> None:
        self.name, self.streams, self._producers = name, streams, producers
        self._send, self._receive = trio.open_memory_channel[Chunk](READY)
        self._numbers, self._came = count(), 0
        self._turn = trio.Lock()
        self._open: dict[int, trio.CancelScope] = {}  # the one that was heard last stands last
        self._connections = self._refused = self._broken = 0

    @property
    def position(self) -> Position:
        """See `Transport`."""
        if self._producers is None or not self._producers.came:
            return {"byte": self._came}
        return {"byte": self._came, "producers": self._producers.dump()}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: how many connections are open, and have been; that were refused, and that broke off."""
        return {
            "open": len(self._open),
            "connections": self._connections,
            "refused": self._refused,
            "broken": self._broken,
            **({"duplicates": self._producers.duplicates} if self._producers and self._producers.came else {}),
        }

    async def receive(self) -> Chunk:
        """See `Transport`."""
        return await self._receive.receive()

    def refuse(self, stream: int) -> None:
        """See `Transport`."""
        if stream in self._open:
            self._refused += 1
            self._open[stream].cancel()

    async def take(self, stream: trio.abc.ReceiveStream, origin: str) -> bool:
        """Hand on what comes over `stream` until its end, and close it; whether anything came."""
        number, ends, came = next(self._numbers), "", False
        numbered: NumberedLines | None = None
        head = b""  # that may still become the word of those who number their lines
        self._connections += 1
        if len(self._open) >= MOST:
            self._open[next(iter(self._open))].cancel()
        self._open[number] = scope = trio.CancelScope()
        try:
            async with stream:
                with scope:
                    while not ends:
                        scope.deadline = trio.current_time() + IDLE
                        if isinstance(stream, trio.SocketStream) and os.name == "posix":
                            await trio.lowlevel.wait_readable(stream.socket)
                            scope.deadline = math.inf  # it is not silent while it waits for its turn
                            async with self._turn:  # so that a single one has a chunk in hand
                                data, ends = await _read(stream.socket.fileno())
                                head += data
                                if not ends and not came and self._may_number(head):
                                    if head.startswith(MAGIC):
                                        numbered = NumberedLines(self._producers or Producers())
                                else:
                                    came |= await self._pass_on(head, origin, number)
                                    head = b""
                            if numbered is not None:
                                scope.deadline = math.inf
                                ends = await self._take_numbered(stream, numbered, head, number)
                        else:
                            data = bytes(await stream.receive_some(SMALL))
                            scope.deadline, ends = math.inf, "" if data else WHOLE
                            came |= await self._pass_on(data, origin, number)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._broken += ends != WHOLE
        del self._open[number]
        if came:
            await self._send.send(Chunk(b"", origin, self.position, number, ends or CUT))
        return came

    def _may_number(self, head: bytes) -> bool:
        """Whether a connection that has begun with `head` may be of a producer that numbers its lines."""
        return self._producers is not None and bool(head) and MAGIC.startswith(head[: len(MAGIC)])

    async def _take_numbered(self, stream: trio.SocketStream, lines: NumberedLines, data: bytes, number: int) -> str:
        """Hand on what a producer numbers, and acknowledge it; how the connection ends."""
        safe = trio.Event()

        async def answer() -> None:
            nonlocal safe
            said = lines.safe
            while True:
                await safe.wait()
                safe = trio.Event()
                if lines.safe > said:
                    said = lines.safe
                    await stream.send_all(b"ACK %d\n" % said)

        def settle(last: int) -> None:
            lines.settle(last)
            safe.set()

        assert self._producers is not None
        reply, rest = lines.begin(data)
        while rest is None:
            more = await stream.receive_some(SMALL)
            if not more:
                return CUT
            reply, rest = lines.begin(bytes(more))
        await stream.send_all(reply)
        async with open_group() as group:
            group.start_background(answer)
            while lines.name:
                own, new = self._producers.stream(lines.name), lines.feed(rest)
                if new.data:
                    self._open[number] = self._open.pop(number)
                    self._came += len(new.data)
                    origin = f"{self.name} from {lines.name}"
                    chunk = Chunk(new.data, origin, self.position, own, "", trio.current_time())
                    await self._send.send(chunk._replace(acknowledge=partial(settle, new.number)))
                elif 0 < new.number <= lines.safe and b"\n" in rest:  # it was safe already, and is asked for again
                    await stream.send_all(b"ACK %d\n" % lines.safe)
                if new.error:
                    await stream.send_all(b"ERR %s\n" % new.error.encode())
                    break
                rest = bytes(await stream.receive_some(CHUNK))
                if not rest:
                    return WHOLE
        return CUT

    async def _pass_on(self, data: bytes, origin: str, number: int) -> bool:
        """Hand on what has come over the stream with this number; whether anything has."""
        if data:
            self._open[number] = self._open.pop(number)
            self._came += len(data)
            await self._send.send(Chunk(data, origin, self.position, number, came=trio.current_time()))
        return bool(data)

    async def aclose(self) -> None:
        """See `Transport`."""
        self._receive.close()
        self._send.close()
        await trio.lowlevel.checkpoint()


async def _read(socket: int) -> tuple[bytes, str]:
    """What there is, up to a chunk of it, and how the stream ends behind it, if it does.

    The system keeps less than a chunk, and whoever sends fills it up again while all others here have their turn.
    """
    parts, size, before = list[bytes](), 0, -1
    while before < size < CHUNK:
        before = size
        try:
            while size < CHUNK:
                part = os.read(socket, CHUNK - size)
                if not part:
                    return b"".join(parts), WHOLE
                parts.append(part)
                size += len(part)
        except BlockingIOError:
            await trio.lowlevel.checkpoint()
        except OSError:
            return b"".join(parts), CUT
    return b"".join(parts), ""
