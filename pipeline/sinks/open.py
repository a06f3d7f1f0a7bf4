"""`open_sink`: from an address to where lines go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from ..flow.group import open_group
from ..sources import Opening
from .kafka import KafkaSink
from .mqtt import MqttSink
from .redis import RedisSink
from .sink import Sink

__all__ = ["SINKS", "is_sink", "open_sink"]

# By what an address begins with.
SINKS: dict[str, Callable[[Opening], Sink]] = {
    "kafka://": KafkaSink,
    "kafkas://": KafkaSink,
    "mqtt://": MqttSink,
    "mqtts://": MqttSink,
    "redis://": RedisSink,
    "rediss://": RedisSink,
}


def is_sink(address: str) -> bool:
    """Whether it is one, and not the path of a file."""
    return any(address.startswith(scheme) for scheme in SINKS)


@asynccontextmanager
async def open_sink(address: str, notice: Callable[[str], None] = lambda text: None) -> AsyncIterator[Sink]:
    """Open `address`, which `is_sink`; `notice` is told what becomes of connections.

    Raises SourceError where it is none, and at the end OSError where lines have not come there.
    """
    make = next(make for scheme, make in SINKS.items() if address.startswith(scheme))
    sink = make(Opening(address, notice=notice))
    async with open_group() as group:
        group.start_background(sink.keep)
        yield sink
        await sink.flush()
