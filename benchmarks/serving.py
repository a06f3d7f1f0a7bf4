"""What it costs to be asked: the speed of a run that is, over that of one that is not, and how long answers take.

    python benchmarks/serving.py

An LSTM of 128 units learns from 100 keys as fast as it can. Another process asks what would be forecast of a record, so
many times a second over eight connections, and reads the events beside; for five seconds, then not for five, in which
it learns as if nobody could ask, and so on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import trio

from recurrio.core import Adam
from recurrio.pipeline import Records, Trainer, serve

KEYS, H, T, B = 100, 128, 8, 64
CONNECTIONS = 8
SPAN = 5.0  # seconds, by the clock of both processes; the client asks in every other one
SETTLED = 2.5  # seconds of a span until its speed is measured


def frames(until: float, count: int) -> Iterator[dict[str, Any]]:
    """Records of random walks, so many at once, until the clock says so."""
    rng = np.random.default_rng(0)
    while time.perf_counter() < until:
        who = rng.integers(0, KEYS, count)
        yield {"k": np.array([f"key {key}" for key in who.tolist()], object), "x": rng.standard_normal(count)}


async def train(pairs: int, rate: int, count: int) -> tuple[list[float], dict[str, Any]]:
    """The speed while asked `rate` times a second over that of the time before, each time, and what the client says."""
    ratios, said = list[float](), dict[str, Any]()
    end = time.perf_counter() + (2 * pairs + 2) * SPAN
    records = Records(frames(end, count), key="k", features="x", target="x@+1", seq_len=T, batch_size=B, stride=T)
    trainer = Trainer(records.model(hidden_size=H, seed=0), Adam(0.002), clip=1.0)

    async def speed() -> float:
        """Records a second until the next span, without its beginning."""
        await trio.sleep(SETTLED)
        start, before = time.perf_counter(), records.report()["records"]
        await trio.sleep(SPAN - time.time() % SPAN)
        return float(records.report()["records"] - before) / (time.perf_counter() - start)

    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, trainer, records))
        nursery.start_soon(trainer.run, records)
        await trio.sleep(2 * SPAN - time.time() % (2 * SPAN))
        words = [sys.executable, __file__, "--client", url, "--rate", str(rate), "--pairs", str(pairs)]

        async def ask() -> None:
            done = await trio.run_process(words, capture_stdout=True)
            said.update(json.loads(done.stdout))

        async with trio.open_nursery() as asking:
            asking.start_soon(ask)
            for _ in range(pairs):
                records.soon = False
                alone = await speed()
                records.soon = True
                ratios.append(await speed() / alone)
        nursery.cancel_scope.cancel()
    return ratios, said


async def ask(url: str, rate: int, pairs: int) -> None:
    """Ask in every other span, and print how long it took, and how often it failed."""
    port, times, failed = int(url.rpartition(":")[2]), list[float](), 0
    send, receive = trio.open_memory_channel[None](100_000)

    async def question(stream: trio.SocketStream) -> int:
        body = b'{"k":"key 7","x":0.5}'
        head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
        await stream.send_all(head + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await stream.receive_some(1 << 16)
        length = int(data.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        rest = data.partition(b"\r\n\r\n")[2]
        while len(rest) < length:
            rest += await stream.receive_some(1 << 16)
        return int(data.split()[1])

    async def worker() -> None:
        nonlocal failed
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            async for _ in receive:
                start = time.perf_counter()
                failed += await question(stream) != 200
                times.append(time.perf_counter() - start)

    async def watch() -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while await stream.receive_some(1 << 16):
                pass

    for _ in range(pairs):
        await trio.sleep(-time.time() % (2 * SPAN) - SPAN if time.time() % (2 * SPAN) < SPAN else 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for _ in range(CONNECTIONS):
                nursery.start_soon(worker)
            while time.time() % (2 * SPAN) >= SPAN:
                send.send_nowait(None)
                await trio.sleep(1 / rate)
            nursery.cancel_scope.cancel()
    p50, p99 = np.quantile(times, [0.5, 0.99])
    print(json.dumps({"asked": len(times), "failed": failed, "p50": p50, "p99": p99, "most": max(times)}))


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--count", type=int, default=1000, help="records that come at once (1000)")
    parser.add_argument("--rate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        trio.run(ask, arguments.client, arguments.rate, arguments.pairs)
        return
    for rate in (50, 500):
        ratios, said = trio.run(train, arguments.pairs, rate, arguments.count)
        spread = f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
        slow = ", ".join(f"{name} {1e3 * said[name]:.1f} ms" for name in ("p50", "p99", "most"))
        print(f"{rate} questions a second: {spread} of the speed; {slow}")
        print(f"    {said['asked']:,} were answered, {said['failed']} of them with an error", flush=True)


if __name__ == "__main__":
    main()
