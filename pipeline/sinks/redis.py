"""Lines to a stream of Redis: each is an entry, in the field ``data``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ..sources import Opening
from ..sources.address import server_address
from ..sources.redis import PORTS, redis_attempts, redis_client
from .sink import Said, Sink

__all__ = ["RedisSink"]


class RedisSink(Sink):
    """``redis://host:port/stream``; with ``?maxlen=N`` the stream keeps about so many entries."""

    def __init__(self, opening: Opening) -> None:
        address = server_address(opening.address, "STREAM", PORTS, ("maxlen", "db"))
        redis_client(address)  # or it says what is missing
        super().__init__(address, redis_attempts(opening))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Callable[[Sequence[Said]], Awaitable[object]]]:
        """See `Sink`."""
        from coredis.tokens import PureToken

        most = self._address.options.get("maxlen")
        trim: dict[str, Any] = {
            "trim_strategy": PureToken.MAXLEN,
            "trim_operator": PureToken.APPROXIMATELY,
            "threshold": most,
        }
        async with redis_client(self._address) as client:
            await client.ping()

            async def send(lines: Sequence[Said]) -> None:
                async with client.pipeline(transaction=False) as pipe:
                    for _, line in lines:
                        pipe.xadd(self._address.path, {"data": line}, **(trim if most else {}))

            yield send
