"""Sockets that are listened at: whoever connects sends records, many at once."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio

from ..flow.group import open_group
from .connections import Connections
from .net import check_remote, host_and_port, keep_alive, named
from .numbered import Producers
from .source import SourceError, Streams
from .transport import Opening, Transport

__all__ = ["listen_tcp", "listen_unix"]


@asynccontextmanager
async def listen_tcp(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``tcp-listen://host:port``; without a host this machine's own, and with port 0 one that the system chooses."""
    host, port = host_and_port(rest, opening.address)
    check_remote(host, opening)
    listeners = await trio.open_tcp_listeners(port, host=host)
    name = f"tcp-listen://{named(listeners[0].socket.getsockname())}"
    async with _serving(name, listeners, opening) as connections:
        opening.notice(f"listening on {name}")
        yield connections


@asynccontextmanager
async def listen_unix(path: str, opening: Opening) -> AsyncIterator[Transport]:
    """``unix:path``: a socket that is a file; one that nobody listens at any more is replaced."""
    await _make_room(path, opening.address)
    with trio.socket.socket(socket.AF_UNIX) as sock:
        await sock.bind(path)
        mine = os.stat(path)
        try:
            sock.listen(128)
            async with _serving(opening.address, [trio.SocketListener(sock)], opening) as connections:
                opening.notice(f"listening on {opening.address}")
                yield connections
        finally:
            with suppress(OSError):
                if os.path.samestat(os.stat(path), mine):
                    os.unlink(path)


async def _make_room(path: str, address: str) -> None:
    """Remove the socket that a process has left behind. Raises SourceError where there is anything else."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SourceError(f"{address}: there is something else than a socket")
    with trio.socket.socket(socket.AF_UNIX) as probe:
        try:
            await probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        else:
            raise SourceError(f"{address}: another process listens there")


@asynccontextmanager
async def _serving(name: str, listeners: list[trio.SocketListener], opening: Opening) -> AsyncIterator[Connections]:
    numbers = iter(range(1, 1 << 62))
    producers = None if opening.journal is None else Producers()  # without a journal nothing is safe
    if producers is not None and opening.position is not None and "producers" in opening.position:
        producers.load(str(opening.position["producers"]))
    async with Connections(name, Streams.ANYBODY, producers) as connections, open_group() as group:

        async def serve(stream: trio.SocketStream) -> None:
            peer: object = None
            with suppress(OSError):
                keep_alive(stream.socket)
                peer = stream.socket.getpeername()
            await connections.take(stream, f"{name} from {named(peer) or next(numbers)}")

        async def accept(listener: trio.SocketListener) -> None:
            async with trio.open_nursery() as nursery:
                await trio.serve_listeners(serve, [listener], handler_nursery=nursery)

        for listener in listeners:
            group.start_background(partial(accept, listener))
        yield connections
