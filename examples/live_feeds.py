"""What the commands of the README for live sources connect to, and what connects to them, until Ctrl-C.

Run it with ``python examples/live_feeds.py``, and the commands beside it, in the same folder and in any order:

- Twenty sensors send their temperature and humidity over TCP, one connection each, to port 9000, whenever somebody
  listens there.
- A market says a price a hundred times a second to whoever connects to ``ws://127.0.0.1:9001/feed``. Needs the package
  websockets.
- Twelve hosts say how busy their processors are and how full their memory. Half of them write it to ``access.jsonl``,
  in this folder, the others send datagrams to port 9002. What they were doing, their state, comes up to a second later,
  over TCP to port 9003, in lines of its own with the same id.

Other ports can be given, as ``--sensors 9100``; ``--prices 0`` is one that the system chooses, which is printed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

import trio

LOG = Path("access.jsonl")
HOST = "127.0.0.1"


async def send_lines(port: int, lines: Iterator[str], pause: float) -> None:
    """Send `lines` one by one over TCP, over a new connection whenever there is nobody (any more)."""
    while True:
        try:
            async with await trio.open_tcp_stream(HOST, port) as stream:
                for line in lines:
                    await stream.send_all(line.encode() + b"\n")
                    await trio.sleep(pause * random.uniform(0.8, 1.2))
        except (OSError, trio.BrokenResourceError):
            await trio.sleep(0.2)


def readings(device: str) -> Iterator[str]:
    """What a sensor says: a wave of its own under noise."""
    rng = random.Random(device)
    level, phase = rng.uniform(18, 24), rng.uniform(0, 2 * math.pi)
    while True:
        phase += 0.4
        wave = math.sin(phase)
        temperature, humidity = level + 3 * wave + rng.gauss(0, 0.6), 50 - 10 * wave + rng.gauss(0, 2)
        yield json.dumps({"device": device, "temperature": round(temperature, 2), "humidity": round(humidity, 1)})


async def serve_prices(port: int) -> None:
    """A price that wanders, and is off by a little each time it is said."""
    try:
        from websockets.exceptions import ConnectionClosed
        from websockets.trio.server import ServerConnection, serve
    except ImportError:
        print("prices: needs websockets; pip install 'recurrio[live]'")
        return

    async def handle(connection: ServerConnection) -> None:
        middle = 100.0
        try:
            while True:
                middle += random.gauss(0, 0.01)
                price = {"ts": round(time.time(), 3), "price": round(middle + random.gauss(0, 0.05), 3)}
                await connection.send(json.dumps(price))
                await trio.sleep(0.01)
        except ConnectionClosed:
            pass

    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve, handle, port, host=HOST))
        print(f"prices: ws://{HOST}:{server.listeners[0].socket.getsockname()[1]}/feed", flush=True)


async def hosts(port: int, labels: int, log: IO[str]) -> None:
    """Requests of hosts, to the log and in datagrams; and their states, which are known later."""
    cpu, mem = [random.uniform(0.2, 0.8) for _ in range(12)], [random.uniform(0.3, 0.9) for _ in range(12)]
    send, receive = trio.open_memory_channel[tuple[float, str]](10_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(say_states, labels, receive)
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
            number = 0
            while True:
                number += 1
                host = random.randrange(12)
                cpu[host] += 0.6 * (0.5 - cpu[host]) + random.gauss(0, 0.25)
                mem[host] += 0.2 * (0.6 - mem[host]) + random.gauss(0, 0.1)
                state = "swapping" if mem[host] > 0.75 else "busy" if cpu[host] > 0.5 else "idle"
                use = {"cpu": round(cpu[host], 3), "mem": round(mem[host], 3)}
                line = json.dumps({"id": number, "host": f"host-{host:02}", **use})
                if host < 6:
                    print(line, file=log, flush=True)
                else:
                    await sock.sendto(line.encode(), (HOST, port))
                with suppress(trio.WouldBlock):  # nobody has listened for long: the newest are lost
                    send.send_nowait((trio.current_time() + 0.5, json.dumps({"id": number, "state": state})))
                await trio.sleep(0.004)


async def say_states(port: int, states: trio.MemoryReceiveChannel[tuple[float, str]]) -> None:
    """Send each state when its time has come; one that could not be sent is sent again."""
    when, line = await states.receive()
    while True:
        try:
            async with await trio.open_tcp_stream(HOST, port) as stream:
                while True:
                    await trio.sleep_until(when)
                    await stream.send_all(line.encode() + b"\n")
                    when, line = await states.receive()
        except (OSError, trio.BrokenResourceError):
            await trio.sleep(0.2)


async def main(ports: argparse.Namespace, log: IO[str]) -> None:
    """Send and serve until a signal comes."""
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(send_lines, ports.sensors, readings(f"device-{number:02}"), 0.05)
        nursery.start_soon(serve_prices, ports.prices)
        nursery.start_soon(hosts, ports.hosts, ports.labels, log)
        print(
            f"sensors: to port {ports.sensors}; hosts: {LOG}, and to ports {ports.hosts} and {ports.labels}", flush=True
        )
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(aiter(signals))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name, port in {"sensors": 9000, "prices": 9001, "hosts": 9002, "labels": 9003}.items():
        parser.add_argument(f"--{name}", type=int, default=port, metavar="PORT")
    given = parser.parse_args()
    with LOG.open("w", encoding="utf-8") as log:
        trio.run(main, given, log)
