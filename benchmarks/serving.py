"""What it costs to be asked: the speed of a run that is, over that of one that is not, and how long answers take.

    python benchmarks/serving.py

An LSTM of 128 units learns from 100 keys as fast as it can. Another process asks what would be forecast of a record, so
many times a second over one connection each, and reads the events beside. Rounds are in pairs, without and with it.
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


def frames(until: float) -> Iterator[dict[str, Any]]:
    """Records of random walks, until the clock says so."""
    rng = np.random.default_rng(0)
    while time.perf_counter() < until:
        who = rng.integers(0, KEYS, 1000)
        yield {"k": np.array([f"key {key}" for key in who.tolist()], object), "x": rng.standard_normal(1000)}


async def train(seconds: float, rate: int) -> tuple[float, dict[str, Any]]:
    """Records a second of a run that is asked `rate` times a second, and what the client says."""
    said, answered = dict[str, Any](), trio.Event()
    records = Records(
        frames(time.perf_counter() + seconds), key="k", features="x", target="x@+1", seq_len=T, batch_size=B, stride=T
    )
    trainer = Trainer(records.model(hidden_size=H, seed=0), Adam(0.002), clip=1.0)
    async with trio.open_nursery() as nursery:
        if rate:
            url = await nursery.start(partial(serve, trainer, records))
            words = [sys.executable, __file__, "--client", url, "--rate", str(rate), "--seconds", str(seconds)]

            async def ask() -> None:
                done = await trio.run_process(words, capture_stdout=True)
                said.update(json.loads(done.stdout))
                answered.set()

            nursery.start_soon(ask)
        start = time.perf_counter()
        await trainer.run(records)
        taken = time.perf_counter() - start
        if rate:
            with trio.move_on_after(10):
                await answered.wait()
        nursery.cancel_scope.cancel()
    return records.report()["records"] / taken, said


async def ask(url: str, rate: int, seconds: float) -> None:
    """Ask, and print how long it took, and how often it failed."""
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

    await trio.sleep(1)  # until something was learned
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        async with trio.open_nursery() as workers:
            for _ in range(CONNECTIONS):
                workers.start_soon(worker)
            end = trio.current_time() + seconds - 2
            while trio.current_time() < end:
                send.send_nowait(None)
                await trio.sleep(1 / rate)
            send.close()
        nursery.cancel_scope.cancel()
    p50, p99 = np.quantile(times, [0.5, 0.99])
    print(json.dumps({"asked": len(times), "failed": failed, "p50": p50, "p99": p99, "most": max(times)}))


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--rate", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.client:
        trio.run(ask, arguments.client, arguments.rate, arguments.seconds)
        return
    for rate in (50, 500):
        ratios, told = list[float](), list[dict[str, Any]]()
        for _ in range(arguments.rounds):
            alone, _ = trio.run(train, arguments.seconds, 0)
            asked, said = trio.run(train, arguments.seconds, rate)
            ratios.append(asked / alone)
            told.append(said)
        spread = f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
        p50, p99, most = (1e3 * max(said[name] for said in told) for name in ("p50", "p99", "most"))
        total, failed = (sum(said[name] for said in told) for name in ("asked", "failed"))
        slow = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {most:.1f} ms"
        print(f"{rate} questions a second: {spread} of the speed; {slow}")
        print(f"    {total:,} were answered, {failed} of them with an error; times are those of the slowest round")


if __name__ == "__main__":
    main()
