"""HTTP: what well-behaved clients get, and what becomes of those that are slow, silent, large or speak nonsense."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio

pytest.importorskip("h11", reason="needs recurrio[serve]")

import trio.lowlevel

from recurrio.pipeline.serving.http import Limits, Request, Response, serve_http

QUICK = Limits(head=2000, body=10_000, connections=4, request=0.3, idle=0.6, sent=0.3)


async def answer(request: Request) -> Response:
    if request.path == "/endless":
        return Response(200, endless(), "text/plain")
    if request.path == "/slow":
        await trio.sleep(0.5)
    if request.path == "/error":
        return Response(404, b"no", "text/plain", {"X-Why": "because"})
    told = f"{request.method} {request.path} {dict(request.query)} {len(request.body)}"
    return Response(200, told.encode(), "text/plain")


async def endless() -> AsyncGenerator[bytes]:
    while True:
        yield b"x" * 100_000
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def server(limits: Limits = QUICK) -> AsyncIterator[int]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, listener, answer, limits)
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def all_of(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(5):
        try:
            async for piece in stream:
                data += piece
        except trio.BrokenResourceError:
            data += b"(reset)"
    return data


async def say(port: int, *pieces: bytes, pause: float = 0) -> bytes:
    """What comes back until the server closes the connection."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with suppress(trio.BrokenResourceError):  # where it has been sent away
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(pause)
        return await all_of(stream)


def get(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


CLOSE = "Connection: close"


async def test_requests_one_behind_the_other_on_one_connection() -> None:
    async with server() as port:
        body = b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        found = await say(port, get("/a%20b?x=1&y=%C3%A4&z="), body, get("/error"), get("/c", CLOSE), pause=0.02)
        assert found.count(b"HTTP/1.1 200") == 3
        assert found.count(b"HTTP/1.1 404") == 1
        assert "GET /a b {'x': '1', 'y': 'ä', 'z': ''} 0".encode() in found
        assert b"POST /b {} 5" in found
        assert b"X-Why: because" in found


async def test_requests_that_come_at_once_and_byte_by_byte() -> None:
    async with server() as port:
        assert (await say(port, get("/1") + get("/2") + get("/3", CLOSE))).count(b"200") == 3
        request = get("/slowly", CLOSE)
        assert b"GET /slowly" in await say(port, *[request[i : i + 1] for i in range(len(request))])


async def test_a_head_has_no_body_and_chunks_are_a_body() -> None:
    async with server() as port:
        found = await say(port, b"HEAD /h HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert found.endswith(b"\r\n\r\n")
        assert b"Content-Length: 12" in found
        chunks = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert b"POST /c {} 6" in await say(port, chunks, b"3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n")
        going = b"POST /e HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        assert b"HTTP/1.1 100" in await say(port, going, b"ab", pause=0.05)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" + b"x" * 20_000, 413),
        (get("/", "X: " + "y" * 5000), 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 30 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    ],
)
async def test_what_is_too_large_or_nonsense_is_refused_and_closed(request_: bytes, status: int) -> None:
    async with server() as port:
        found = await say(port, request_)
        assert found.startswith(b"HTTP/1.1 %d " % status), found[:100]
        assert b'{"error":"' in found


async def test_a_large_body_is_not_kept() -> None:
    """100 MB are dropped, whether they are announced or not; the server answers others meanwhile."""
    head, chunk = b"POST / HTTP/1.1\r\nHost: x\r\n", b"x" * 10**6
    async with server() as port, trio.open_nursery() as nursery:
        nursery.start_soon(say, port, head + b"Content-Length: 100000000\r\n\r\n", *[chunk] * 100)
        in_chunks = [b"f4240\r\n" + chunk + b"\r\n"] * 100
        nursery.start_soon(say, port, head + b"Transfer-Encoding: chunked\r\n\r\n", *in_chunks)
        await trio.sleep(0.05)
        assert b"200" in await say(port, get("/", CLOSE))


async def test_whoever_is_slow_or_silent_is_sent_away() -> None:
    async with server() as port, trio.open_nursery() as nursery:
        start = trio.current_time()

        async def slow() -> None:
            found = await say(port, *[b"G"] * 50, pause=0.05)
            assert found.startswith(b"HTTP/1.1 408"), found

        async def silent() -> None:
            assert await say(port) == b""

        async def half_a_body() -> None:
            found = await say(port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf")
            assert found.startswith(b"HTTP/1.1 408"), found

        for client in (slow, silent, half_a_body):
            nursery.start_soon(client)
        await trio.sleep(0.1)
        assert b"200" in await say(port, get("/", CLOSE))
    assert trio.current_time() - start < 5


async def test_the_one_that_waited_longest_makes_room() -> None:
    async with server(QUICK._replace(idle=60)) as port:
        waiting = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(4)]
        await trio.sleep(0.05)
        assert b"200" in await say(port, get("/", CLOSE))
        assert await all_of(waiting[0]) == b""
        await waiting[3].send_all(get("/still", CLOSE))
        assert b"GET /still" in await all_of(waiting[3])
        for stream in waiting:
            await stream.aclose()


async def test_where_all_are_served_another_is_told_so() -> None:
    async with server() as port, trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(say, port, get("/slow", CLOSE))
        await trio.sleep(0.1)
        assert (await say(port, get("/"))).startswith(b"HTTP/1.1 503")
        await trio.sleep(0.6)
        assert b"200" in await say(port, get("/", CLOSE))


async def test_a_reader_that_stops_is_dropped() -> None:
    async with server() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(get("/endless"))
        await trio.sleep(1.0)
        data = await all_of(stream)  # what had been sent before
        assert 0 < len(data) < 50_000_000
        await stream.aclose()


async def test_a_reader_that_goes_ends_its_stream_and_the_end_waits_for_nobody() -> None:
    with trio.fail_after(5):
        async with server(Limits()) as port:
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(get("/endless"))
            await stream.receive_some(10)
            await stream.aclose()
            stuck = await trio.open_tcp_stream("127.0.0.1", port)
            await stuck.send_all(get("/endless"))
            await trio.sleep(0.2)  # until it is stuck
            idle = await trio.open_tcp_stream("127.0.0.1", port)
    await stuck.aclose()
    await idle.aclose()


async def test_two_thousand_connections_of_garbage() -> None:
    async with server(QUICK._replace(connections=16)) as port:
        async with trio.open_nursery() as nursery:
            limit = trio.CapacityLimiter(100)

            async def garbage(number: int) -> None:
                async with limit:
                    stream = await trio.open_tcp_stream("127.0.0.1", port)
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(bytes([number % 256]) * 50)
                    await stream.aclose()

            for number in range(2000):
                nursery.start_soon(garbage, number)
        await trio.sleep(0.5)
        assert b"200" in await say(port, get("/", CLOSE))
