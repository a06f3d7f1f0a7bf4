"""A stream of Redis: each of its entries is a record, and where it is known by, the last entry's id."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ..flow.group import open_group
from .address import ServerAddress, server_address
from .attempts import Attempts
from .broker import OPTIONS, BrokerTransport
from .source import Position, SourceError
from .transport import Opening, Transport

if TYPE_CHECKING:
    import coredis

__all__ = ["open_redis", "redis_address", "redis_attempts", "redis_client"]

PORTS = (6379, 6379)
BLOCK = 1000  # milliseconds that are waited for more, before it is asked again
START, END = "start", "end"
BEGIN, UNKNOWN = "0-0", -1
NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def redis_address(address: str) -> ServerAddress:
    """The parts of ``redis://host:port/stream``. Raises SourceError."""
    found = server_address(address, "STREAM", PORTS, (*OPTIONS, "group", "from", "field", "db"))
    if found.options.get("from", START) not in (START, END) or not found.options.get("db", "0").isdigit():
        raise SourceError(f"{found.shown}: expected from={START} or from={END}, and db=NUMBER")
    return found


def redis_client(address: ServerAddress) -> coredis.Redis[bytes]:
    """A client of it, to be entered. Raises SourceError."""
    try:
        import coredis
        from coredis.retry import NoRetryPolicy
    except ImportError:
        raise SourceError(f"{address.shown}: needs coredis; pip install 'recurrio[redis]'") from None
    (host, port), *_ = address.servers
    who: dict[str, Any] = {"username": address.user, "password": address.password}
    context = address.tls_context()
    tls: dict[str, Any] = {} if context is None else {"ssl": True, "ssl_context": context}
    return coredis.Redis(
        host,
        port,
        int(address.options.get("db", 0)),
        **who,
        **tls,
        connect_timeout=10.0,
        retry_policy=NoRetryPolicy(),  # whoever asks does, from where it is
    )


def redis_attempts(opening: Opening) -> Attempts:
    """Connections to a server of Redis."""
    from coredis import exceptions

    errors = OSError, exceptions.ConnectionError, exceptions.ReadOnlyError
    return Attempts(opening.address, opening.notice, errors, (exceptions.RedisError,))


class RedisTransport(BrokerTransport):
    """The entries of a stream, from its start on, or behind the last that the ``group`` of the address has had.

    The line of an entry is the value of the ``field`` of the address, or of the only one that it has, where that is an
    object of JSON; or else an object of all of them, in which what looks like a number is one, and what is empty null.
    The group is told how far it is, but it hands nothing out: of two that read for the same group, each has all.
    """

    rewindable = True

    def __init__(self, address: ServerAddress, opening: Opening) -> None:
        self._stream, self._group = address.path, address.options.get("group")
        self._field = address.options.get("field", "").encode()
        self._last, self._count = "", UNKNOWN  # the last entry's id, and how many have been added with it
        self._safe = BEGIN, UNKNOWN
        super().__init__(address, opening, redis_attempts(opening))

    def go_to(self, position: Position) -> None:
        """See `BrokerTransport`: behind the entry ``id``, with which ``count`` have been added."""
        try:
            self._last, self._count = str(position["id"]), int(position["count"])
        except (KeyError, ValueError) as error:
            raise SourceError(f"{self.name}: no position in a stream: {error}") from None

    async def read(self) -> None:
        """See `BrokerTransport`."""
        async with redis_client(self._address) as client, open_group() as group:
            await client.ping()
            self._last, self._count = (self._last, self._count) if self._last else await self._begin(client)
            self.attempts.connected()
            if self._group is not None:
                group.start_background(self._tell, client, self._group)
            while True:
                await self._take(client)

    async def _begin(self, client: coredis.Redis[bytes]) -> tuple[str, int]:
        """Where to begin, where nothing has been read before."""
        begin = BEGIN, UNKNOWN
        if self._address.options.get("from") == END and await client.exists([self._stream]):
            about = await client.xinfo_stream(self._stream)
            begin = _text(about["last-generated-id"]), int(about.get("entries-added", UNKNOWN))
        if self._group is None:
            return begin
        from coredis.exceptions import StreamDuplicateConsumerGroupError

        try:
            await client.xgroup_create(self._stream, self._group, identifier=begin[0], mkstream=True)
        except StreamDuplicateConsumerGroupError:
            group = next(one for one in await client.xinfo_groups(self._stream) if one[b"name"] == self._group.encode())
            added = group.get(b"entries-read")
            return _text(group[b"last-delivered-id"]), UNKNOWN if added is None else int(added)
        return begin

    async def _take(self, client: coredis.Redis[bytes]) -> None:
        """Hand on what there is by now, or wait until there is something."""
        stream, last = self._stream, self._last
        async with client.pipeline(transaction=True, raise_on_error=False) as pipe:
            came = pipe.xread({stream: last}, count=self.some)
            about = pipe.xinfo_stream(stream)
            here = pipe.xrange(stream, start=last, end=last)
        entries = (await came or {}).get(stream.encode(), ())
        self._look(await _or_none(about), here=bool(await here))
        if not entries:
            await client.xread({stream: self._last}, count=1, block=BLOCK)
            return
        lines = [self._line(entry.field_values) for entry in entries]
        self._last = _text(entries[-1].identifier)
        self._count = self._count + len(entries) if self._count >= 0 else UNKNOWN
        safe = self._last, self._count
        await self.hand_on(lines, {"id": safe[0], "count": safe[1]}, partial(setattr, self, "_safe", safe))

    def _look(self, about: Mapping[str, Any] | None, *, here: bool) -> None:
        """Whether what stood behind the last entry is still there; `here` is whether that entry itself is."""
        if here or (about is None and self._last == BEGIN):
            return
        if about is None or _number(_text(about["last-generated-id"])) < _number(self._last):
            self.gap(1, f"the stream has been begun anew since its entry {self._last}")
            self._last, self._count = BEGIN, UNKNOWN
            return
        added = int(about.get("entries-added", UNKNOWN))  # which old servers do not count
        gone = added - int(about["length"])
        if 0 <= self._count < gone:
            self.gap(gone - self._count, f"{gone - self._count:,} entries behind {self._last} have been removed unread")
        self._count = max(gone, self._count) if added >= 0 else UNKNOWN

    def _line(self, fields: Mapping[Any, Any]) -> bytes:
        """The line of an entry; of one without the field, nothing that could be a record."""
        if self._field:
            return bytes(fields.get(self._field, b""))
        if len(fields) == 1 and (line := bytes(next(iter(fields.values())))).startswith(b"{"):
            return line
        return b"{" + b",".join(b"%s:%s" % (_quoted(name), _value(value)) for name, value in fields.items()) + b"}"

    async def _tell(self, client: coredis.Redis[bytes], group: str) -> None:
        """Tell the group what is safe."""
        while True:
            await self.settled()
            last, count = self._safe
            await client.xgroup_setid(self._stream, group, identifier=last, entriesread=count if count >= 0 else None)


def _text(said: Any) -> str:  # noqa: ANN401 (bytes, or what the client makes of them)
    return said.decode() if isinstance(said, bytes) else str(said)


def _number(last: str) -> tuple[int, ...]:
    return tuple(map(int, last.split("-")))


def _quoted(said: bytes) -> bytes:
    return msgspec.json.encode(said.decode("utf-8", "replace"))


def _value(said: bytes) -> bytes:
    return b"null" if not said else said if NUMBER.fullmatch(said) else _quoted(said)


async def _or_none(answer: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """What is said of a stream; None where there is none."""
    from coredis.exceptions import ResponseError

    with suppress(ResponseError):
        return await answer
    return None


@asynccontextmanager
async def open_redis(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``redis://host:port/stream?group=name``; with ``rediss`` by TLS."""
    address = redis_address(opening.address)
    redis_client(address)  # or it says what is missing
    async with RedisTransport(address, opening) as transport, open_group() as group:
        group.start_background(transport.keep)
        yield transport
