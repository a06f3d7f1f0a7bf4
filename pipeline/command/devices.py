"""Simulated devices: a demonstration's data as they arrive."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator

import trio

__all__ = ["DEVICES", "devices"]

DEVICES = 30
GATEWAYS = 3  # each sends for a third of them
PAUSE = 0.0125  # seconds between two records of a device, about
AGAIN = 0.2  # seconds until a gateway tries once more to be heard


async def devices(port: int) -> None:
    """Send what the devices measure to `port` of this machine, for ever."""
    async with trio.open_nursery() as nursery:
        for number in range(GATEWAYS):
            names = [f"device-{device:02}" for device in range(number, DEVICES, GATEWAYS)]
            nursery.start_soon(_send, port, names)


async def _send(port: int, names: list[str]) -> None:
    """Send the records of these devices over one connection, and over a new one wherever it broke."""
    readings, rng = [_readings(name) for name in names], random.Random(names[0])
    while True:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                while True:
                    await stream.send_all(b"".join(map(next, readings)))
                    await trio.sleep(PAUSE * rng.uniform(0.5, 1.5))
        except (OSError, trio.BrokenResourceError):  # nobody listens, or not any more
            await trio.sleep(AGAIN)


def _readings(name: str) -> Iterator[bytes]:
    """The temperature at a device, a wave of its own with noise, and the humidity, which goes the other way."""
    rng = random.Random(name)
    level, phase, pace = rng.uniform(18, 24), rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 0.5)
    while True:
        phase += pace
        wave = math.sin(phase)
        temperature, humidity = level + 3 * wave + rng.gauss(0, 0.5), 50 - 10 * wave + rng.gauss(0, 2)
        reading = {"device": name, "temperature": round(temperature, 2), "humidity": round(humidity, 1)}
        yield json.dumps(reading).encode() + b"\n"
