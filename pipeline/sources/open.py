"""`open_transport`: from an address to a transport."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Awaitable, Callable

import trio

from .file import FileTransport, size_is_true
from .pipe import PipeTransport
from .source import Position, SourceError, Transport

__all__ = ["open_transport"]


async def open_transport(address: str, position: Position | None = None) -> Transport:
    """Open `address`, the path of a file or pipe, or ``"-"`` for standard input; at `position` where that is given.

    Raises SourceError where it cannot be opened, or cannot begin at a position.
    """
    scheme, mark, _ = address.partition("://")
    opener = TRANSPORTS.get(scheme + mark, _open_path)
    try:
        transport = await opener(address, position)
    except OSError as error:
        raise SourceError(f"{address or repr(address)}: {error.strerror}") from None
    if position is not None and not transport.rewindable:
        await transport.aclose()
        raise SourceError(f"{transport.name}: can be read only once, so it cannot begin at a position")
    return transport


async def _open_standard_input(address: str, position: Position | None) -> Transport:
    if sys.stdin is None:  # it was closed before we began, and its descriptor is something else by now
        raise SourceError("standard input: is closed")
    return PipeTransport(os.dup(0), "standard input")


async def _open_path(path: str, position: Position | None) -> Transport:
    def open_file() -> Transport:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # which Windows has
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode) and size_is_true(fd):
                return FileTransport(fd, path, position)
            return PipeTransport(fd, path)
        except BaseException:
            os.close(fd)
            raise

    # Opening a named pipe waits for its writer.
    waits = not stat.S_ISREG(os.stat(path).st_mode)
    return await trio.to_thread.run_sync(open_file, abandon_on_cancel=waits)


# By what an address begins with, up to "://", or the whole of it; anything else is a path.
TRANSPORTS: dict[str, Callable[[str, Position | None], Awaitable[Transport]]] = {"-": _open_standard_input}
