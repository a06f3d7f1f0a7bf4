"""Days of one source in virtual time; prints a line of JSON at the end of each. For tests/pipeline/test_weeks.py.

The source is a server that breaks off every hour, now and then in the middle of a line, and is connected to again. In
an hour it sends records of some thousand keys, of 100,000 that there are, which come and go; with ``later`` their
labels come in the minutes behind them, but for some that never do.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import trio
import trio.testing

from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.flow.group import open_group
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.serving.access import Access
from recurrio.pipeline.serving.app import App
from recurrio.pipeline.serving.http import Request
from recurrio.pipeline.serving.recent import Recent
from recurrio.pipeline.serving.status import Status
from recurrio.pipeline.sources import Opening
from recurrio.pipeline.sources.connect import Reconnecting

HOUR, DAY = 3600.0, 86_400.0
KEYS, PIECES, RECORDS = 100_000, 20, 150  # a piece is sent every three minutes


# in the order of struct mallinfo2 in malloc.h
NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Mallinfo(ctypes.Structure):
    """What glibc says of its memory."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES)


def memory() -> dict[str, int]:
    """Bytes that are ``in_use``, exact with PYTHONMALLOC=malloc, and those ``resident``, some of which are free."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.malloc_trim(0)
    libc.mallinfo2.restype = Mallinfo
    said = libc.mallinfo2()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {"in_use": said.uordblks + said.hblkhd, "resident": pages * os.sysconf("SC_PAGE_SIZE")}


class Server:
    """What it sends from hour to hour."""

    def __init__(self, *, later: bool) -> None:
        self._rng, self._later, self._number = random.Random(0), later, 0
        self._labels: list[str] = []
        self.sent = 0

    def piece(self) -> bytes:
        """Some records, and the labels of those before."""
        rng, start, lines = self._rng, self.sent, list[str]()
        for _ in range(RECORDS):
            number = self.sent = self.sent + 1
            key = (start + rng.randrange(KEYS // 16)) % KEYS
            x = rng.gauss(0, 1)
            lines.append(f'{{"id":{number},"k":"key {key}","x":{x:.3f}}}\n')
            if self._later and rng.random() > 0.05:
                self._labels.append(f'{{"id":{number},"y":"{"high" if x > 0 else "low"}"}}\n')
        if self._later:
            labels, self._labels = self._labels, []
            lines += labels[: len(labels) // 2]  # of these and the ones before
            self._labels = labels[len(labels) // 2 :]
        return "".join(lines).encode()

    async def serve(self, stream: trio.testing.MemorySendStream) -> None:
        """An hour of it."""
        for _ in range(PIECES):
            data = self.piece()
            while data:
                size = self._rng.randrange(1, 20_000)
                await stream.send_all(data[:size])
                data = data[size:]
            await trio.sleep(HOUR / PIECES)
        if self._rng.random() < 0.3:
            await stream.send_all(b'{"id":0,"k":"key')  # and no more
        await stream.aclose()


async def client(trainer: Trainer, records: Records, recent: Recent) -> None:
    """Somebody who listens to events, one in three minutes, and asks for the forecasts of a key, and what if."""
    app = App(Status(trainer, records, None, recent), Access(None))
    local = {"host": "localhost"}
    response = await app(Request("GET", "/events", {}, local, b""))
    assert not isinstance(response.body, bytes)
    async with aclosing(response.body) as events:
        async for event in events:
            key = json.loads(event.partition(b"data: ")[2])["keys"][:1]
            for name in key:
                assert (await app(Request("GET", "/predictions", {"key": name}, local, b""))).status == 200
                body = json.dumps({"k": name, "x": 0.5}).encode()
                assert (await app(Request("POST", "/predict", {}, local, body))).status in (200, 503)
            await trio.sleep(180)


async def main(days: int, *, later: bool) -> None:
    """So many days."""
    server = Server(later=later)

    @asynccontextmanager
    async def connected() -> AsyncIterator[trio.abc.ReceiveStream]:
        send, receive = trio.testing.memory_stream_one_way_pair()
        async with open_group() as group:
            group.start_background(server.serve, send)
            yield receive

    # Batches of few keys have few shapes, all of which come on the first day, and are laid out once.
    given: dict[str, Any] = {"features": "x", "key": "k", "max_keys": 20_000, "key_ttl": 6 * HOUR, "linger": 60.0}
    given["batch_size"] = 16
    given |= {"label": "y", "id": "id", "label_wait": 2 * HOUR} if later else {"target": "x@+1"}
    opening = Opening("tcp://feed:1")
    async with Reconnecting("tcp://feed:1", opening) as connections, open_group() as group:
        group.start_background(connections.keep, connected)
        records = Records((), **given, _source=lambda fields: DecodedBlocks(connections, "jsonl", fields))
        trainer = Trainer(records.model(hidden_size=8, seed=1), Adam(0.003), clip=1.0, executor="inline", watchdog=None)

        recent = records.on_forecasts = Recent(records.encoder, None)
        group.start_background(client, trainer, records, recent)

        async def watch() -> None:
            for day in range(1, days + 1):
                await trio.sleep_until(day * DAY + 30.0)
                report = records.report()
                names = ("records", "applied", "rejected", "keys", "expired")
                counts = {name: report[name] for name in names} | report["sources"][0]
                print(json.dumps({"day": day, **memory(), **counts}), flush=True)
            trainer.stop(0.0)

        group.start_background(watch)
        await trainer.run(records)


if __name__ == "__main__":
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(lambda: main(int(sys.argv[1]), later="later" in sys.argv), clock=clock)
