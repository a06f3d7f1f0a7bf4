"""Datagrams: lines that come by themselves, from anybody, and may be lost on the way."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from .net import check_remote, host_and_port, named
from .source import Chunk, Position, SourceError, Streams
from .transport import Opening, Transport

__all__ = ["UdpTransport", "listen_udp"]

LARGEST = 1 << 16  # bytes of a datagram, and one more
CHUNK = 1 << 17  # bytes of a chunk, behind which none is added
BUFFER = 1 << 23  # bytes that the system keeps, if it lets us


class UdpTransport(Transport):
    """The datagrams that come to `sock`, which it closes; each is whole lines, whose last one needs no end."""

    streams = Streams.MESSAGES
    messages, waits = True, False

    def __init__(self, sock: socket.socket, name: str) -> None:
        self.name, self._sock = name, sock
        self._came = self._datagrams = 0
        sock.setblocking(False)

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {"byte": self._came}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`. What the system has dropped is not known."""
        return {"datagrams": self._datagrams}

    async def receive(self) -> Chunk:
        """See `Transport`."""
        parts, size = list[bytes](), 0
        while not parts:
            await trio.lowlevel.wait_readable(self._sock)
            while size < CHUNK:
                try:
                    data = self._sock.recv(LARGEST)
                except BlockingIOError:
                    break
                except OSError as error:
                    raise SourceError(f"{self.name}: {error.strerror}") from None
                self._datagrams += 1
                if data:
                    parts.append(data if data.endswith(b"\n") else data + b"\n")
                    size += len(parts[-1])
        self._came += size
        return Chunk(b"".join(parts), self.name, self.position)

    async def aclose(self) -> None:
        """See `Transport`."""
        self._sock.close()
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def listen_udp(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``udp-listen://host:port``."""
    host, port = host_and_port(rest, opening.address)
    check_remote(host, opening)
    family, _, _, _, where = (await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM))[0]
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        sock.bind(where)
        name = f"udp-listen://{named(sock.getsockname())}"
        async with UdpTransport(sock, name) as transport:
            opening.notice(f"listening on {name}; what the system drops is not counted")
            yield transport
