"""Server-sent events: the data of each are lines, and the last one's id is sent when it is connected again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import trio

from ..flow.group import open_group
from .connect import Reconnecting
from .messages import MessageStream
from .source import Position, SourceError
from .transport import Opening, Transport

__all__ = ["open_events"]

LARGEST = (1 << 20) + 1024  # bytes of an event: a line of the largest size fits
PATIENCE = 10.0  # seconds until it is connected; events may be as far apart as they like


class Events(Reconnecting):
    """Connections to a server of events, and the id of the last event, if it had one."""

    messages = True
    last: str | None = None

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {**super().position, "id": self.last or ""}


@asynccontextmanager
async def open_events(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``http://host:port/path`` or ``https://…``."""
    try:
        import httpx2
    except ImportError:
        raise SourceError(f"{opening.address}: needs httpx2; pip install 'recurrio[live]'") from None

    @asynccontextmanager
    async def connected() -> AsyncIterator[trio.abc.ReceiveStream]:
        headers = {} if events.last is None else {"Last-Event-ID": events.last}
        timeout = httpx2.Timeout(PATIENCE, read=None)
        async with (
            httpx2.AsyncClient(timeout=timeout, trust_env=False) as client,
            client.sse(opening.address, headers=headers, follow_redirects=True, max_event_size=LARGEST) as source,
        ):
            source.response.raise_for_status()
            async with aclosing(cast("AsyncGenerator[httpx2.ServerSentEvent, None]", aiter(source))) as iterator:

                async def receive() -> str | None:
                    try:
                        event = await anext(iterator)
                    except StopAsyncIteration:
                        return None
                    except httpx2.HTTPError as error:
                        raise trio.BrokenResourceError(str(error)) from error
                    events.last = event.id or events.last
                    return str(event.data)

                yield MessageStream(receive)

    try:
        host = httpx2.URL(opening.address).host
    except httpx2.InvalidURL as error:
        raise SourceError(f"{opening.address}: {error}") from None
    if not host:
        raise SourceError(f"{opening.address}: expected http://host:port/path")
    errors = (httpx2.HTTPError, httpx2.SSEError)
    async with Events(opening.shown, opening, errors) as events, open_group() as group:
        events.last = str((opening.position or {}).get("id", "")) or None
        group.start_background(events.keep, connected)
        yield events
