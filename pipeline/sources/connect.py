"""A connection to a server that sends records, made again whenever it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import trio

from ..flow.group import open_group
from .attempts import Attempts
from .connections import Connections
from .net import host_and_port, keep_alive
from .source import Streams
from .transport import Opening, Transport

__all__ = ["Reconnecting", "connect_tcp"]


class Reconnecting(Connections):
    """Connections to one server, one behind the other; `errors` are what else may come of an attempt than OSError."""

    def __init__(self, name: str, opening: Opening, errors: tuple[type[Exception], ...] = ()) -> None:
        super().__init__(name, Streams.CONNECTIONS)
        self._attempts = Attempts(opening.address, opening.notice, (OSError, *errors))

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: also how often it was connected again."""
        return {**super().counts, "reconnects": self._attempts.count}

    async def keep(self, connect: Callable[[], AbstractAsyncContextManager[trio.abc.ReceiveStream]]) -> None:
        """Connect, and again whenever the connection has ended; wait longer and longer where that fails."""

        async def connected() -> None:
            async with connect() as stream:
                self._attempts.connected()
                if await self.take(stream, self.name):
                    self._attempts.works()

        await self._attempts.keep(connected)


@asynccontextmanager
async def connect_tcp(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``tcp://host:port``. Raises OSError where there is no such host."""
    host, port = host_and_port(rest, opening.address)
    await trio.socket.getaddrinfo(host, port)

    @asynccontextmanager
    async def connected() -> AsyncIterator[trio.abc.ReceiveStream]:
        async with await trio.open_tcp_stream(host, port) as stream:
            with suppress(OSError):
                keep_alive(stream.socket)
            yield stream

    async with Reconnecting(opening.shown, opening) as connections, open_group() as group:
        group.start_background(connections.keep, connected)
        yield connections
