"""Messages as a stream of bytes: each is whole lines, whose last one needs no end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

__all__ = ["MessageStream", "as_lines"]


def as_lines(message: str | bytes) -> bytes:
    """The lines of `message`, the last one with its end."""
    data = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    return data if data.endswith(b"\n") else data + b"\n"


class MessageStream(trio.abc.ReceiveStream):
    """What `receive` brings, message after message; None from it is the end. Who has made it closes it."""

    def __init__(self, receive: Callable[[], Awaitable[str | bytes | None]]) -> None:
        self._take = receive

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The lines of the next message, however many; nothing at the end."""
        message = await self._take()
        return b"" if message is None else as_lines(message)

    async def aclose(self) -> None:
        """Do nothing."""
        await trio.lowlevel.checkpoint()
