"""Bytes that can be read only once and end nobody knows when: standard input, a pipe."""

from __future__ import annotations

import os
import stat

import trio

from ..flow.pipes import widen
from .source import Chunk, Position, SourceError
from .transport import Transport

__all__ = ["PipeTransport"]

CHUNK = 1 << 19  # bytes of a chunk at most


class PipeTransport(Transport):
    """What comes in at the file descriptor `fd`, which it closes in the end; `name` stands for it in messages."""

    def __init__(self, fd: int, name: str) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise SourceError(f"{name}: Is a directory")
        widen(fd)
        self.name, self._fd, self._came = name, fd, 0

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {"byte": self._came}

    async def receive(self) -> Chunk:
        """See `Transport`."""
        try:
            data = await self._read()
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror}") from None
        if not data:
            raise trio.EndOfChannel
        self._came += len(data)
        return Chunk(data, self.name, self.position)

    async def _read(self) -> bytes:
        # Not in a thread if it can be helped: one that is left behind would read what comes later. And not by trio's
        # FdStream: it makes the descriptor non-blocking for all who share it, as a shell does its standard input.
        try:
            await trio.lowlevel.wait_readable(self._fd)
        except OSError:  # a file, or a system that can wait for sockets alone
            return await trio.to_thread.run_sync(os.read, self._fd, CHUNK, abandon_on_cancel=True)
        return os.read(self._fd, CHUNK)

    async def aclose(self) -> None:
        """See `Transport`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
