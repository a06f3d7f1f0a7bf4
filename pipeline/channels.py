"""Memory channels that know their name and count what passes.

A thin layer over `trio.open_memory_channel`: the same calls, and for each channel the items, the present and
the peak depth; for each end, the seconds that its stage has waited there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Generic, TypeVar

import trio

__all__ = ["Channel", "ChannelReport", "Receiver", "Sender"]

T = TypeVar("T")


@dataclass(frozen=True)
class ChannelReport:
    """Counts of one channel: ``items`` sent so far, ``depth`` now, ``peak`` depth, of ``capacity``."""

    name: str
    capacity: int
    items: int
    depth: int
    peak: int


class Channel(Generic[T]):
    """A bounded channel named `name` with room for `capacity` items, and its two ends."""

    def __init__(self, name: str, capacity: int) -> None:
        if type(capacity) is not int or not 0 <= capacity < math.inf:
            raise ValueError(f"capacity of channel {name}: expected a whole number of at least 0, got {capacity!r}")
        self.name, self.capacity = name, capacity
        self.items = self.peak = 0
        send, self._receive = trio.open_memory_channel[T](capacity)
        self.sender, self.receiver = Sender(self, send), Receiver(self._receive)

    def sent(self) -> None:
        """Count an item; the sender calls it."""
        self.items += 1
        self.peak = max(self.peak, self._receive.statistics().current_buffer_used)

    def report(self) -> ChannelReport:
        """The counts as they are now."""
        depth = self._receive.statistics().current_buffer_used
        return ChannelReport(self.name, self.capacity, self.items, depth, self.peak)


class Sender(Generic[T]):
    """The end that sends. Leaving it as a context manager closes it."""

    def __init__(self, channel: Channel[T], send: trio.MemorySendChannel[T]) -> None:
        self._channel, self._send = channel, send
        self.waited = 0.0

    async def send(self, item: T) -> None:
        """Send `item`, waiting for room."""
        start = perf_counter()
        await self._send.send(item)
        self.waited += perf_counter() - start
        self._channel.sent()

    def __enter__(self) -> Sender[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send.close()


class Receiver(Generic[T]):
    """The end that receives. Leaving it as a context manager closes it; iterating goes on until the sender does."""

    def __init__(self, receive: trio.MemoryReceiveChannel[T]) -> None:
        self._receive = receive
        self.waited = 0.0

    async def receive(self) -> T:
        """The next item, waiting for it. Raises trio.EndOfChannel after the last one."""
        start = perf_counter()
        try:
            return await self._receive.receive()
        finally:
            self.waited += perf_counter() - start

    def __aiter__(self) -> Receiver[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    def __enter__(self) -> Receiver[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._receive.close()
