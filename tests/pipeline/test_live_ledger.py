"""Numbered records through every live source, with disconnects, partial writes, bursts and a slow learner.

The ledger adds up, nothing comes twice, and the records of a connection come in its order. What was sent whole, by a
producer that said goodbye, is all there; where a connection broke off, what is missing is behind a point.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import trio
from support.live import port_in, until

from recurrio.core import Adam
from recurrio.pipeline import Report, Trainer, open_records
from recurrio.pipeline.lanes import merged
from recurrio.pipeline.lanes.forecast import Forecast
from recurrio.pipeline.sources import attempts, net

GIVEN: dict[str, Any] = {"features": "x", "target": "x@+1", "key": "k", "time": "n", "seq_len": 4, "batch_size": 6}
COUNT, EACH = 400, 40  # records of a producer, and of a connection
Sure = dict[str, int]  # of each producer how many records must have come
Came = dict[str, list[int]]  # and those that have
Send = Callable[[str, Sure, Came], Any]


class Producer:
    """Records of the key `name`, numbered from 1 on."""

    def __init__(self, name: str) -> None:
        self.name, self.rng, self.sent = name, random.Random(name), 0

    def lines(self, count: int) -> bytes:
        """The next ones."""
        found = []
        for _ in range(count):
            self.sent += 1
            found.append(json.dumps({"k": self.name, "n": self.sent, "x": round(self.rng.gauss(0, 1), 3)}) + "\n")
        return "".join(found).encode()


async def in_pieces(send: Callable[[bytes], Any], producer: Producer, count: int) -> None:
    """Send so many records in pieces that are cut anywhere, at once or with pauses."""
    data = producer.lines(count)
    while data:
        size = producer.rng.choice([1, 7, 100, 5000])
        await send(data[:size])
        data = data[size:]
        if producer.rng.random() < 0.1:
            await trio.sleep(0.002)


async def connects(opened: Callable[[], Any], producer: Producer) -> None:
    """A producer that connects again and again: it ends well, or in the middle of a line, which is lost."""
    while producer.sent < COUNT:
        async with await opened() as stream:
            await in_pieces(stream.send_all, producer, min(EACH, COUNT - producer.sent))
            if producer.rng.random() < 0.5:
                await stream.send_all(b'{"k":"' + producer.name.encode())


async def tcp_listen(notice: str, sure: Sure, came: Came) -> None:
    async with trio.open_nursery() as nursery:
        for name in "abc":
            sure[name] = COUNT
            opened = partial(trio.open_tcp_stream, "127.0.0.1", port_in(notice))
            nursery.start_soon(connects, opened, Producer(name))


async def unix(notice: str, sure: Sure, came: Came) -> None:
    async with trio.open_nursery() as nursery:
        for name in "abc":
            sure[name] = COUNT
            nursery.start_soon(connects, partial(trio.open_unix_socket, "s"), Producer(name))


async def udp(notice: str, sure: Sure, came: Came) -> None:
    """In bursts; the system has room for all of it."""
    producers = [Producer(name) for name in "ab"]
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
        for _ in range(COUNT // 5):
            for producer in producers:
                await sock.sendto(producer.lines(5)[:-1], ("127.0.0.1", port_in(notice)))
    sure |= {producer.name: COUNT for producer in producers}


async def tail(notice: str, sure: Sure, came: Came) -> None:
    """A log that is written in pieces, and rotated between lines."""
    producer = Producer("a")
    for number in range(COUNT // 40):
        with Path("log").open("ab", buffering=0) as log:  # noqa: ASYNC230 (some bytes at a time)

            async def write(data: bytes, log: Any = log) -> None:  # noqa: ANN401
                log.write(data)
                await trio.lowlevel.checkpoint()

            await in_pieces(write, producer, 40)
        await until(lambda: len(came["a"]) == producer.sent)  # or two could have gone before one is seen
        if number < COUNT // 40 - 1:
            os.rename("log", f"log.{number}")
    sure["a"] = COUNT


async def learn(address: str, send: Send, when_behind: str = "block") -> tuple[dict[str, Any], Came, Sure]:
    """The report of a run, the numbers that came of each producer, and those that had to."""
    said, came, sure = list[str](), defaultdict[str, list[int]](list), Sure()

    def note(forecast: Forecast) -> None:
        assert forecast.keys is not None
        assert forecast.times is not None
        for key, number in zip(forecast.keys, forecast.times.tolist(), strict=True):
            came[key].append(int(number))

    def slowly(_: Report) -> None:
        sleep(0.001)

    options = {**GIVEN, "on_notice": said.append, "on_forecasts": note, "when_behind": when_behind}
    async with open_records(address, **options) as records, trio.open_nursery() as nursery:
        trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")

        async def produce() -> None:
            await send(said[0] if said else "", sure, came)
            await until(lambda: sum(map(len, came.values())) >= sum(sure.values()))
            trainer.stop(5.0)

        nursery.start_soon(produce)
        await trainer.run(records, on_report=slowly)
        report = records.report()
    parts = ("applied", "unlabelled", "dropped", "rejected", "waiting")
    assert report["records"] == sum(report[part] for part in parts)
    (source,) = report["sources"]
    assert source["received"] + source["dropped"] == report["records"]
    assert source["rejected"] == report["rejected"]
    return report, came, sure


@pytest.fixture(autouse=True)
def soon(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "Backoff", partial(net.Backoff, 0.01, 0.05))


@pytest.mark.parametrize(
    ("address", "send"),
    [
        pytest.param("tcp-listen://127.0.0.1:0", tcp_listen, id="tcp-listen"),
        pytest.param("unix:s", unix, id="unix"),
        pytest.param("udp-listen://127.0.0.1:0", udp, id="udp"),
        pytest.param("tail:log", tail, id="tail"),
    ],
)
async def test_nothing_is_lost_or_comes_twice(address: str, send: Send) -> None:
    report, came, sure = await learn(address, send)
    assert {name: sorted(numbers) for name, numbers in came.items()} == {
        name: [*range(1, count + 1)] for name, count in sure.items()
    }
    for numbers in came.values():  # of one connection in order; of two the second may be read before all of the first
        for start in range(0, COUNT, EACH):
            part = [number for number in numbers if start < number <= start + EACH]
            assert part == sorted(part)
    assert report["dropped"] == 0
    assert (report["rejected"] > 0) == (address[:4] in ("tcp-", "unix"))  # half lines


async def test_a_server_that_breaks_off_anywhere() -> None:
    """It goes on with the line that it was in, as it cannot know what has arrived: what a reset destroys is lost."""
    producer = Producer("a")

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):  # who has enough hangs up
            async with stream:
                await in_pieces(stream.send_all, producer, 40)
                if producer.rng.random() < 0.5:
                    await stream.send_all(b'{"k":"a"')
                    await trio.sleep(0.02)  # most has been read by then
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]

        async def enough(notice: str, sure: Sure, came: Came) -> None:
            await until(lambda: producer.sent >= COUNT)

        report, came, _ = await learn(f"tcp://127.0.0.1:{port}", enough)
        nursery.cancel_scope.cancel()
    numbers = came["a"]
    assert numbers == sorted(set(numbers))
    assert report["sources"][0]["reconnects"] >= 5
    assert len(numbers) > COUNT / 4


async def test_a_websocket_that_is_closed_between_messages() -> None:
    server = pytest.importorskip("websockets.trio.server")
    producer = Producer("a")

    async def handle(connection: Any) -> None:  # noqa: ANN401
        for _ in range(8):
            await connection.send(producer.lines(5).decode())

    async with trio.open_nursery() as nursery:
        found = await nursery.start(partial(server.serve, handle, 0, host="127.0.0.1"))
        port = found.listeners[0].socket.getsockname()[1]

        async def enough(notice: str, sure: Sure, came: Came) -> None:
            await until(lambda: producer.sent >= COUNT)
            sure["a"] = COUNT

        _, came, _ = await learn(f"ws://127.0.0.1:{port}", enough)
        nursery.cancel_scope.cancel()
    assert came["a"] == [*range(1, len(came["a"]) + 1)]
    assert len(came["a"]) >= COUNT


class Feed(BaseHTTPRequestHandler):
    """Events with ids, broken off at random; it goes on behind the id that it is told."""

    def do_GET(self) -> None:
        start, rng = int(self.headers.get("Last-Event-ID") or 0), random.Random(self.headers.get("Last-Event-ID"))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(start + 1, start + rng.randrange(2, 60)):
            record = json.dumps({"k": "a", "n": number, "x": number % 7})
            self.wfile.write(f"id: {number}\ndata: {record}\n\n".encode())
        self.wfile.write(b'id: 0\ndata: {"k":')

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
async def feed() -> AsyncIterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Feed) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, server.serve_forever, 0.01)
            yield f"http://127.0.0.1:{server.server_address[1]}/events"
            await trio.to_thread.run_sync(server.shutdown)


async def test_events_with_ids_come_once_each(feed: str) -> None:
    pytest.importorskip("httpx2")

    async def enough(notice: str, sure: Sure, came: Came) -> None:
        sure["a"] = COUNT
        await trio.lowlevel.checkpoint()

    report, came, _ = await learn(feed, enough)
    assert came["a"] == [*range(1, len(came["a"]) + 1)]
    assert report["rejected"] == 0


@pytest.mark.parametrize("policy", ["drop-oldest", "sample"])
async def test_what_is_dropped_is_counted(policy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bursts that are more than may wait: what comes is in order, and the rest is said to be dropped."""
    monkeypatch.setattr(merged, "MOST", 50)

    async def burst(notice: str, sure: Sure, came: Came) -> None:
        await udp(notice, Sure(), came)

    async def watch(notice: str, sure: Sure, came: Came) -> None:
        await burst(notice, sure, came)
        await trio.sleep(0.3)

    report, came, _ = await learn("udp-listen://127.0.0.1:0", watch, when_behind=policy)
    assert report["records"] == 2 * COUNT
    assert all(numbers == sorted(set(numbers)) for numbers in came.values())
    assert sum(map(len, came.values())) == 2 * COUNT - report["dropped"]
