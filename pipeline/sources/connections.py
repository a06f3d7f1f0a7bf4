"""Bytes that come over connections, each of which is a stream of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count

import trio

from .source import CUT, WHOLE, Chunk, Position, Streams
from .transport import Transport

__all__ = ["Connections"]

CHUNK = 1 << 17  # bytes of a chunk at most
IDLE = 3600.0  # seconds after which one that is silent is closed
MOST = 1024  # that are open at once


class Connections(Transport):
    """What comes over the connections that it is told to `take`, each a chunk in turn.

    Where nobody receives, nothing is read, so that those who send have to wait. One that has been silent for an hour is
    closed, and so is the one that has been silent for longest where there are more than `MOST`.
    """

    def __init__(self, name: str, streams: Streams) -> None:
        self.name, self.streams = name, streams
        self._send, self._receive = trio.open_memory_channel[Chunk](0)
        self._numbers, self._came = count(), 0
        self._open: dict[int, trio.CancelScope] = {}  # the one that was heard last stands last
        self._connections = self._refused = self._broken = 0

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {"byte": self._came}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: how many connections are open, and have been; that were refused, and that broke off."""
        return {
            "open": len(self._open),
            "connections": self._connections,
            "refused": self._refused,
            "broken": self._broken,
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
        number, ends, came = next(self._numbers), CUT, False
        self._connections += 1
        if len(self._open) >= MOST:
            self._open[next(iter(self._open))].cancel()
        self._open[number] = scope = trio.CancelScope()
        try:
            async with stream:
                with scope:
                    while True:
                        scope.deadline = trio.current_time() + IDLE
                        data = await stream.receive_some(CHUNK)
                        scope.deadline = math.inf
                        if not data:
                            ends = WHOLE
                            break
                        self._open[number] = self._open.pop(number)
                        came, self._came = True, self._came + len(data)
                        await self._send.send(Chunk(bytes(data), origin, self.position, number))
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            self._broken += 1
        finally:
            del self._open[number]
        if came:
            await self._send.send(Chunk(b"", origin, self.position, number, ends))
        return came

    async def aclose(self) -> None:
        """See `Transport`."""
        self._receive.close()
        self._send.close()
        await trio.lowlevel.checkpoint()
