"""Memory channels that know their name and count what passes.

A thin layer over `trio.open_memory_channel`: the same calls, and for each channel the items, the present and
the peak depth; and each end tells the meter of its stage when it waits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, NamedTuple, TypeVar

import trio

__all__ = ["Channel", "ChannelReport", "Receiver", "Sender", "Waiting"]

T = TypeVar("T")


class ChannelReport(NamedTuple):
    """Counts of one channel: ``items`` sent so far, ``depth`` now, ``peak`` depth, of ``capacity``."""

    name: str
    capacity: int
    items: int
    depth: int
    peak: int


class Waiting:
    """How long a task has waited, in seconds of trio's clock, and for what.

    ``input`` is an item, or what else it needs to go on; ``room`` is a place in a channel. ``idle`` is 0 unless it
    waits at an end, or has closed one; ``resumed`` says when it last went on. ``now`` is trio's clock, which
    `trio.current_time` looks up anew in every call.
    """

    __slots__ = ("idle", "input", "now", "resumed", "room")

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        self.input = self.room = self.resumed = 0.0
        self.idle = 0  # a count, because a user's stage may wait at both ends

    def begin(self) -> float:
        """The task begins to wait; returns when."""
        self.idle += 1
        return self.now()

    def end(self, start: float) -> float:
        """It no longer does; returns for how long it has."""
        self.resumed = self.now()
        self.idle -= 1
        return self.resumed - start


class Channel(Generic[T]):
    """A bounded channel named `name` with room for `capacity` items, and its two ends."""

    def __init__(self, name: str, capacity: int) -> None:
        if type(capacity) is not int or capacity < 0:
            raise ValueError(f"capacity of channel {name}: expected a whole number of at least 0, got {capacity!r}")
        self.name, self.capacity = name, capacity
        self.items = 0
        send, self._receive = trio.open_memory_channel[T](capacity)
        self.sender, self.receiver = Sender(self, send), Receiver(self._receive)

    def report(self) -> ChannelReport:
        """The counts as they are now."""
        now = self._receive.statistics()
        return ChannelReport(self.name, self.capacity, self.items, now.current_buffer_used, now.peak_buffer_used)


class Sender(Generic[T]):
    """The end that sends. Leaving it as a context manager closes it. ``check`` is called with each item beforehand."""

    def __init__(self, channel: Channel[T], send: trio.MemorySendChannel[T]) -> None:
        self._channel, self._send = channel, send
        self.waiting = Waiting()
        self.check: Callable[[T], None] | None = None

    async def send(self, item: T) -> None:
        """Send `item`, waiting for room.

        Where there is room it goes on at once, as in Go: it can be cancelled here, but other tasks come in where the
        stage receives.
        """
        if self.check is not None:
            self.check(item)
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._send.send_nowait(item)
        except trio.WouldBlock:
            start = self.waiting.begin()
            try:
                await self._send.send(item)
            finally:
                self.waiting.room += self.waiting.end(start)
        self._channel.items += 1

    def send_nowait(self, item: T) -> None:
        """Send `item` where there is room. Raises trio.WouldBlock where there is none."""
        self._send.send_nowait(item)
        self._channel.items += 1

    def __enter__(self) -> Sender[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._send.close()
        self.waiting.idle += 1


class Receiver(Generic[T]):
    """The end that receives. Leaving it as a context manager closes it; iterating goes on until the sender does.

    ``note`` is called with each item that has come; ``ended`` says whether it has come to the end.
    """

    def __init__(self, receive: trio.MemoryReceiveChannel[T]) -> None:
        self._receive = receive
        self.waiting = Waiting()
        self.ended = False
        self.note: Callable[[T], None] | None = None

    async def receive(self) -> T:
        """The next item, waiting for it. Raises trio.EndOfChannel after the last one."""
        start = self.waiting.begin()
        try:
            item = await self._receive.receive()
        except trio.EndOfChannel:
            self.ended = True
            raise
        finally:
            self.waiting.input += self.waiting.end(start)
        if self.note is not None:
            self.note(item)
        return item

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
        self.waiting.idle += 1
