"""HTTP/1.1 over trio: connections with limits, requests in, responses out. h11 knows the protocol; needs it.

Whoever is slow, silent or too large is sent away at a deadline, and holds nobody up but itself.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import h11
import msgspec
import trio

from ..flow.group import open_group
from ..sources.net import keep_alive

__all__ = ["Handler", "Limits", "Request", "Response", "refusal", "serve_http"]

CHUNK = 1 << 16  # bytes that are read at once
LINGER = 1.0  # seconds in which a client that was refused may read why


class Limits(NamedTuple):
    """What clients may take: bytes of the ``head`` and the ``body`` of a request; how many ``connections``.

    And seconds: in which a ``request`` is to be there from its first byte on, in which a connection is ``idle`` before
    it is closed, and in which a piece of a response is to be ``sent``.
    """

    head: int = 1 << 14
    body: int = 1 << 20
    connections: int = 64
    request: float = 10.0
    idle: float = 60.0
    sent: float = 10.0


class Request(NamedTuple):
    """What a client asks: the names of ``headers`` are in lower case; of a ``query`` the last of each name counts."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


class Response(NamedTuple):
    """The answer: a ``body``, or a stream of pieces, after which the connection is closed."""

    status: int
    body: bytes | AsyncGenerator[bytes]
    type: str = "application/json"
    headers: Mapping[str, str] = {}


Handler = Callable[[Request], Awaitable[Response]]


class _RefusedError(Exception):
    """A request that cannot be taken; the answer, after which the connection is closed."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.response = refusal(status, why)


def refusal(status: int, why: str, headers: Mapping[str, str] = {}) -> Response:
    """An answer that says why there is no other, as JSON."""
    return Response(status, msgspec.json.encode({"error": why}), headers=headers)


async def serve_http(listener: trio.SocketListener, handler: Handler, limits: Limits = Limits()) -> None:  # noqa: B008 (it cannot change)
    """Let `handler` answer whoever connects, until cancelled.

    Where there are too many connections, the one goes that has waited for its next request for longest; where none
    waits, the new one is sent away with status 503.
    """
    server = _Server(handler, limits)
    async with trio.open_nursery() as nursery:
        await trio.serve_listeners(server.take, [listener], handler_nursery=nursery)


class _Server:
    def __init__(self, handler: Handler, limits: Limits) -> None:
        self._handler, self._limits = handler, limits
        self._idle: dict[object, trio.CancelScope] = {}  # connections that wait; who has waited longest stands first
        self._open = 0

    async def take(self, stream: trio.SocketStream) -> None:
        """Answer the requests of one connection."""
        self._open += 1
        try:
            async with stream:
                with suppress(OSError):
                    keep_alive(stream.socket)
                if self._open > self._limits.connections and not self._make_room():
                    await _refuse(h11.Connection(h11.SERVER), stream, refusal(503, "too many connections"))
                    return
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    await self._answer(stream)
        finally:
            self._open -= 1

    def _make_room(self) -> bool:
        for key in self._idle:
            self._idle.pop(key).cancel()
            return True
        return False

    async def _answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head)
        while True:
            try:
                request = await self._receive(connection, stream)
            except _RefusedError as refused:
                await _refuse(connection, stream, refused.response)
                return
            except h11.RemoteProtocolError as error:
                await _refuse(connection, stream, refusal(error.error_status_hint, str(error)))
                return
            if request is None:
                return
            await self._send(connection, stream, request, await self._handler(request))
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _receive(self, connection: h11.Connection, stream: trio.SocketStream) -> Request | None:
        """The next request; None where there is none any more. Raises _RefusedError, h11.RemoteProtocolError."""
        limits, head, body = self._limits, None, bytearray()
        with trio.move_on_after(limits.idle) as scope:
            self._idle[connection] = scope
            try:
                while True:
                    event = connection.next_event()
                    if event is h11.NEED_DATA:
                        if connection.they_are_waiting_for_100_continue:
                            going_on = h11.InformationalResponse(status_code=100, headers=[])
                            await stream.send_all(connection.send(going_on) or b"")
                        data = await stream.receive_some(limits.head if head is None else CHUNK)
                        if data and self._idle.pop(connection, None) is not None:  # a request begins
                            scope.deadline = trio.current_time() + limits.request
                        connection.receive_data(data)
                    elif isinstance(event, h11.Request):
                        head = event
                        if _length(event) > limits.body:
                            raise _RefusedError(413, f"a body has at most {limits.body:,} bytes")
                    elif isinstance(event, h11.Data):
                        body += event.data
                        if len(body) > limits.body:
                            raise _RefusedError(413, f"a body has at most {limits.body:,} bytes")
                    elif isinstance(event, h11.EndOfMessage):
                        assert head is not None
                        return _request(head, bytes(body))
                    else:  # it was closed
                        return None
            finally:
                self._idle.pop(connection, None)
        if scope.cancelled_caught and (head is not None or connection.trailing_data[0]):
            raise _RefusedError(408, f"a request is to be there in {limits.request:g} s")
        return None

    async def _send(
        self, connection: h11.Connection, stream: trio.SocketStream, request: Request, response: Response
    ) -> None:
        if isinstance(response.body, bytes):
            await self._out(stream, _whole(connection, response, request.method == "HEAD"))
            return
        headers = [*_headers(response), ("Connection", "close")]
        await self._out(stream, connection.send(h11.Response(status_code=response.status, headers=headers)) or b"")
        with trio.CancelScope() as scope:
            async with open_group() as group, aclosing(response.body) as pieces:
                group.start_background(partial(_until_gone, stream, scope))
                async for piece in pieces:
                    await self._out(stream, connection.send(h11.Data(data=piece)) or b"")

    async def _out(self, stream: trio.SocketStream, data: bytes) -> None:
        with trio.fail_after(self._limits.sent):
            await stream.send_all(data)


async def _until_gone(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """Cancel `scope` when the client has closed the connection."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        while await stream.receive_some(CHUNK):
            pass
    scope.cancel()


async def _refuse(connection: h11.Connection, stream: trio.SocketStream, response: Response) -> None:
    """Send the answer, and let the client read it; what it still sends is dropped."""
    with trio.move_on_after(LINGER), suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            await stream.send_all(_whole(connection, response, head=False, close=True))
            await stream.send_eof()
            while await stream.receive_some(CHUNK):
                pass


def _whole(connection: h11.Connection, response: Response, head: bool, close: bool = False) -> bytes:
    assert isinstance(response.body, bytes)
    headers = [*_headers(response), ("Content-Length", str(len(response.body)))]
    headers += [("Connection", "close")] if close else []
    data = connection.send(h11.Response(status_code=response.status, headers=headers)) or b""
    if response.body and not head:
        data += connection.send(h11.Data(data=response.body)) or b""
    return data + (connection.send(h11.EndOfMessage()) or b"")


def _headers(response: Response) -> list[tuple[str, str]]:
    return [("Content-Type", response.type), *response.headers.items()]


def _length(head: h11.Request) -> int:
    lengths = [int(value) for name, value in head.headers if name == b"content-length"]
    return lengths[0] if lengths else 0


def _request(head: h11.Request, body: bytes) -> Request:
    """Raises _RefusedError where the target is none."""
    try:
        parts = urlsplit(head.target.decode("ascii"))
        path = unquote(parts.path, errors="strict")
        query = dict(parse_qsl(parts.query, keep_blank_values=True, errors="strict"))
    except ValueError:
        raise _RefusedError(400, "a target of UTF-8, percent-encoded, was expected") from None
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in head.headers}
    return Request(head.method.decode("ascii"), path, query, headers, body)
