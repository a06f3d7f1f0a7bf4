"""A WebSocket that is read from: its messages are lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ..flow.group import open_group
from .connect import Reconnecting
from .messages import MessageStream
from .source import SourceError
from .transport import Opening, Transport

__all__ = ["open_websocket"]

LARGEST = (1 << 20) + 1024  # bytes of a message: a line of the largest size fits


@asynccontextmanager
async def open_websocket(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``ws://host:port/path`` or ``wss://…``. `Opening.greeting` is sent whenever it is connected."""
    try:
        from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidURI, WebSocketException
        from websockets.trio.client import connect
        from websockets.uri import parse_uri
    except ImportError:
        raise SourceError(f"{opening.address}: needs websockets; pip install 'recurrio[live]'") from None
    try:
        parse_uri(opening.address)
    except InvalidURI as error:
        raise SourceError(str(error)) from None

    @asynccontextmanager
    async def connected() -> AsyncIterator[trio.abc.ReceiveStream]:
        async with connect(opening.address, max_size=LARGEST, proxy=None) as socket:
            if opening.greeting is not None:
                await socket.send(opening.greeting)

            async def receive() -> str | bytes | None:
                try:
                    return await socket.recv()
                except ConnectionClosedOK:
                    return None
                except ConnectionClosedError as error:
                    raise trio.BrokenResourceError(str(error)) from error

            yield MessageStream(receive)

    async with Reconnecting(opening.shown, opening, (WebSocketException,)) as connections, open_group() as group:
        connections.messages = True
        group.start_background(connections.keep, connected)
        yield connections
