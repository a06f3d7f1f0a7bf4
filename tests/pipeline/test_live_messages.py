"""WebSockets and server-sent events, from servers that other people wrote."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio
from support.live import line, reading

from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import SourceError, open_records
from recurrio.pipeline.sources import attempts, net

websockets = pytest.importorskip("websockets.trio.server")
pytest.importorskip("httpx2")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "Backoff", partial(net.Backoff, 0.01, 0.05))


# WebSockets


async def test_messages_are_lines_whatever_frames_they_come_in() -> None:
    heard: list[str | bytes] = []

    async def handle(socket: websockets.ServerConnection) -> None:
        heard.append(await socket.recv())
        if len(heard) == 1:
            await socket.send([b'{"k":"a"', b',"x"', b":1}"])  # in three fragments
            await socket.ping()
            await socket.send(line("a", 2))  # binary
            await socket.send(b"\x01")
            await socket.send(line("a", 3).decode() + line("b", 4).decode()[:-1])
            await socket.send("x" * (20 << 20))
        else:
            await socket.send(line("c", 5).decode())
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(websockets.serve, handle, 0, host="127.0.0.1"))
        port = server.listeners[0].socket.getsockname()[1]
        async with reading(f"ws://127.0.0.1:{port}/feed", greeting="subscribe") as reader:
            taken = await reader.take(5, 1)
            assert taken.records == [("a", 1.0), ("a", 2.0), ("a", 3.0), ("b", 4.0), ("c", 5.0)]
            assert len(taken.rejects) == 1
            assert heard == ["subscribe"] * 2
            assert reader.transport.counts["broken"] == 1
        nursery.cancel_scope.cancel()


async def test_a_server_that_closes_is_connected_to_again() -> None:
    count = 0

    async def handle(socket: websockets.ServerConnection) -> None:
        nonlocal count
        count += 1
        await socket.send(line("a", count).decode())

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(websockets.serve, handle, 0, host="127.0.0.1"))
        port = server.listeners[0].socket.getsockname()[1]
        async with reading(f"ws://127.0.0.1:{port}") as reader:
            assert [x for _, x in (await reader.take(3)).records] == [1, 2, 3]
        nursery.cancel_scope.cancel()


# Events


class Events(BaseHTTPRequestHandler):
    """Three events and the end; then, from the id that it is told, the next ones."""

    asked: list[str | None] = []  # noqa: RUF012 (made anew by the fixture)
    ids = True
    stays: threading.Event | None = None

    def do_GET(self) -> None:
        last = self.headers.get("Last-Event-ID")
        self.asked.append(last)
        if len(self.asked) == 2:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b": a comment\n\n")
        start = int(last or 0)
        for number in range(start, start + 3):
            name = f"id: {number + 1}\n" if self.ids else ""
            self.wfile.write(f"{name}data: {line('a', number).decode()}\n".encode())
        if self.stays is not None:
            self.stays.wait(10)
        self.wfile.write(b'id: 77\ndata: {"k":"a"')  # it breaks off

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Events.asked, Events.ids, Events.stays = [], True, None
    with ThreadingHTTPServer(("127.0.0.1", 0), Events) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/events"
        server.shutdown()
        thread.join()


async def test_events_go_on_behind_the_last_id(server: str) -> None:
    async with reading(server) as reader:
        taken = await reader.take(6)
        assert [x for _, x in taken.records][:6] == [0, 1, 2, 3, 4, 5]
        assert taken.rejects == []
        assert Events.asked[:3] == [None, "3", "3"]
        assert any("503" in text for text in reader.said)
        assert reader.transport.counts["reconnects"] >= 1


async def test_without_ids_a_server_sends_all_again(server: str) -> None:
    Events.ids = False
    async with reading(server) as reader:
        taken = await reader.take(6)
        assert [x for _, x in taken.records][:6] == [0, 1, 2] * 2
        assert Events.asked[:3] == [None] * 3


async def test_a_run_ends_in_the_middle_of_events(server: str) -> None:
    Events.stays = threading.Event()
    try:
        async with reading(server) as reader:
            await reader.take(3)
            assert await reader.nothing(0.1)
    finally:
        Events.stays.set()


async def test_a_server_that_is_not_there_is_waited_for() -> None:
    async with reading("http://127.0.0.1:1/events") as reader:
        assert await reader.nothing(0.2)
        assert reader.said == ["http://127.0.0.1:1/events: Connection refused; trying again"]


async def test_raw_blocks_do_not_come_in_messages() -> None:
    with pytest.raises(ArgumentError, match="lines"):
        async with open_records("ws://127.0.0.1:1", format="raw", features="x", target="x@+1"):
            pass


@pytest.mark.parametrize("address", ["ws://", "http://", "http://[::"])
async def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SourceError, match=re.escape(address)):
        async with reading(address):
            pass
