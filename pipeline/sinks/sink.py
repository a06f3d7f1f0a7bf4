"""Lines on their way to a broker."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from errno import ETIMEDOUT
from itertools import islice
from threading import Condition

import trio

from ..sources.address import ServerAddress
from ..sources.attempts import Attempts

__all__ = ["Said", "Sink"]

Said = tuple[str | None, bytes]
"""A line, without its end, and the key that it is about, if any."""

MOST = 10_000  # lines that wait; then nothing more is taken in
TOGETHER = 500  # lines that are sent in one piece
PATIENCE = 10.0  # seconds that a checkpoint, and the end, wait for the broker


class Sink:
    """Lines go to the broker at `address`, in their order, and again where it has not said that it has them.

    So each comes at least once. `connect` gives what sends some lines, and returns when the broker has them; it is
    called again and again, as `attempts` say.
    """

    def __init__(self, address: ServerAddress, attempts: Attempts) -> None:
        self.name, self._address, self.attempts = address.shown, address, attempts
        self._waiting: deque[Said] = deque()
        self._given = self._there = 0  # lines
        self._news, self._room = trio.Event(), trio.Event()
        self._arrived = Condition()

    @abstractmethod
    def connect(self) -> AbstractAsyncContextManager[Callable[[Sequence[Said]], Awaitable[object]]]:
        """Connect; what sends lines, and returns when the broker has them."""

    def put(self, lines: Sequence[Said]) -> None:
        """Let `lines` be sent."""
        self._waiting.extend(lines)
        self._given += len(lines)
        self._news.set()

    async def room(self) -> None:
        """Wait until not too much waits."""
        while len(self._waiting) > MOST:
            self._room = trio.Event()
            await self._room.wait()

    async def keep(self) -> None:
        """Send, over one connection behind the other; to be run beside whoever puts lines."""
        await self.attempts.keep(self._send)

    async def _send(self) -> None:
        async with self.connect() as send:
            self.attempts.connected()
            while True:
                while not self._waiting:
                    self._news = trio.Event()
                    await self._news.wait()
                lines = [*islice(self._waiting, TOGETHER)]
                await send(lines)
                self.attempts.works()
                for _ in lines:
                    self._waiting.popleft()
                with self._arrived:
                    self._there += len(lines)
                    self._arrived.notify_all()
                self._room.set()

    def position(self) -> None:
        """What has been sent cannot be taken back."""

    def sync(self) -> Callable[[], None]:
        """What sees, in another thread, that all lines that were put by now are there. It raises OSError."""
        given = self._given

        def work() -> None:
            with self._arrived:
                self._arrived.wait_for(lambda: self._there >= given, PATIENCE)
                if self._there < given:
                    raise OSError(ETIMEDOUT, f"{given - self._there:,} lines have not come there", self.name)

        return work

    async def flush(self) -> None:
        """Wait until all lines are there. Raises OSError where that takes too long."""
        await trio.to_thread.run_sync(self.sync())
