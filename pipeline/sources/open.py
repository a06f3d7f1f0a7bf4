"""`open_transport`: from an address to a transport."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace

import trio

from ..flow.group import open_group
from .address import hide
from .connect import connect_tcp
from .events import open_events
from .file import FileTransport, size_is_true
from .journaled import JournaledTransport, last_position
from .kafka import open_kafka
from .listen import listen_tcp, listen_unix
from .mqtt import open_mqtt_topic
from .pipe import PipeTransport
from .redis import open_redis
from .source import SourceError
from .tail import open_tail, tail_path
from .transport import Opening, Transport
from .udp import listen_udp
from .websocket import open_websocket

__all__ = ["SCHEMES", "open_transport", "path_of"]


def path_of(address: str) -> str | None:
    """The path of the file that `address` is, or that it follows; None where there is none."""
    scheme = _scheme_of(address)
    if scheme == "tail:":
        return tail_path(address.removeprefix(scheme))
    return None if scheme or address == "-" else address


def _scheme_of(address: str) -> str:
    return next((scheme for scheme in SCHEMES if address.startswith(scheme)), "")


@asynccontextmanager
async def open_transport(opening: Opening | str) -> AsyncIterator[Transport]:
    """Open an address: that of one of `SCHEMES`, ``"-"`` for standard input, or else the path of a file or pipe.

    Raises SourceError where it cannot be opened, or cannot begin at a position. No message says a password.
    """
    if isinstance(opening, str):
        opening = Opening(opening)
    address, say = opening.address, opening.notice
    try:
        async with _opened(replace(opening, notice=lambda text: say(hide(text, address)))) as transport:
            yield transport
    except SourceError as error:
        if hide(str(error), address) == str(error):
            raise
        raise SourceError(hide(str(error), address)) from None


@asynccontextmanager
async def _opened(opening: Opening) -> AsyncIterator[Transport]:
    address = opening.address
    scheme = _scheme_of(address)
    if not scheme and re.match("[a-z][a-z+-]*://", address):
        raise SourceError(f"{address}: expected a path, - or an address with one of {', '.join(SCHEMES)}")
    opener = SCHEMES.get(scheme) or (_open_standard_input if address == "-" else _open_path)
    async with AsyncExitStack() as stack:
        if opening.only_journal and opening.journal is not None and path_of(address) is None:
            if not opening.journal.end:
                raise SourceError(f"{address}: there is nothing of it in a journal")
            yield JournaledTransport(None, opening.journal, opening)
            return
        journal, inner = opening.journal, opening
        try:
            if journal is not None and journal.end:
                inner = replace(opening, position=last_position(journal))
            transport = await stack.enter_async_context(opener(address.removeprefix(scheme), inner))
        except OSError as error:
            raise SourceError(f"{address or repr(address)}: {error.strerror or error}") from None
        if journal is not None and (transport.journaled or not transport.rewindable):
            group = await stack.enter_async_context(open_group())
            journaled = await stack.enter_async_context(JournaledTransport(transport, journal, opening))
            group.start_background(journaled.keep_synced)
            if opening.position is not None:
                journaled.rewind(opening.position)
            transport = journaled
        if opening.position is not None and not transport.rewindable:
            raise SourceError(f"{transport.name}: can be read only once, so it cannot begin at a position")
        yield transport


@asynccontextmanager
async def _open_standard_input(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    if sys.stdin is None:  # it was closed before we began, and its descriptor is something else by now
        raise SourceError("standard input: is closed")
    async with PipeTransport(os.dup(0), "standard input") as transport:
        yield transport


@asynccontextmanager
async def _open_path(path: str, opening: Opening) -> AsyncIterator[Transport]:
    def open_file() -> Transport:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))  # which Windows has
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode) and size_is_true(fd):
                return FileTransport(fd, path, opening.position)
            return PipeTransport(fd, path)
        except BaseException:
            os.close(fd)
            raise

    # Opening a named pipe waits for its writer.
    waits = not stat.S_ISREG(os.stat(path).st_mode)
    async with await trio.to_thread.run_sync(open_file, abandon_on_cancel=waits) as transport:
        yield transport


Opener = Callable[[str, Opening], AbstractAsyncContextManager[Transport]]
# By what an address begins with: given the rest of it, and the whole. Anything else is a path.
SCHEMES: dict[str, Opener] = {
    "tail:": open_tail,
    "tcp://": connect_tcp,
    "tcp-listen://": listen_tcp,
    "unix:": listen_unix,
    "udp-listen://": listen_udp,
    "ws://": open_websocket,
    "wss://": open_websocket,
    "http://": open_events,
    "https://": open_events,
    "kafka://": open_kafka,
    "kafkas://": open_kafka,
    "mqtt://": open_mqtt_topic,
    "mqtts://": open_mqtt_topic,
    "redis://": open_redis,
    "rediss://": open_redis,
}
