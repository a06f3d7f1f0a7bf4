"""Bytes of a regular file, which can be read again, and at any place."""

from __future__ import annotations

import os

import trio

from .source import Chunk, Position, SourceError
from .transport import Transport

__all__ = ["FileTransport", "read_at", "size_is_true"]

CHUNK = 1 << 20  # bytes of a chunk at most


class FileTransport(Transport):
    """The regular file open at `fd`, which it closes in the end, from `position` on; `name` stands for it in messages.

    It ends at ``end``, the byte where it ended when it was first opened: what is written behind that meanwhile may be
    half a character, and the lanes lie over a text whose length is known.
    """

    rewindable = complete = True

    def __init__(self, fd: int, name: str, position: Position | None = None) -> None:
        self.name, self._fd = name, fd
        self.end, self._place = os.fstat(fd).st_size, 0
        if position is not None:
            self.rewind(position)

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {"byte": self._place, "end": self.end}

    def rewind(self, position: Position) -> None:
        """See `Transport`; it ends where it did then. Raises SourceError where the file has become shorter."""
        size = os.fstat(self._fd).st_size
        try:
            self.end, self._place = int(position["end"]), int(position["byte"])
        except (KeyError, ValueError) as error:
            raise SourceError(f"{self.name}: no position in a file: {error}") from None
        if size < self.end:
            raise self._shorter()

    @property
    def grows(self) -> bool:
        """Whether something has been written behind the end."""
        return os.fstat(self._fd).st_size > self.end

    def read(self, place: int, size: int) -> Chunk:
        """The `size` bytes from `place` on, or fewer at the end. Raises SourceError where the file is shorter now."""
        size = max(0, min(size, self.end - place))
        try:
            data = read_at(self._fd, size, place)
        except OSError as error:
            raise SourceError(f"{self.name}: {error.strerror}") from None
        if size and not data:
            raise self._shorter()
        return Chunk(data, self.name, {"byte": place + len(data), "end": self.end})

    async def receive(self) -> Chunk:
        """See `Transport`."""
        chunk = await trio.to_thread.run_sync(self.read, self._place, CHUNK)
        if not chunk.data:
            raise trio.EndOfChannel
        self._place += len(chunk.data)
        return chunk

    async def aclose(self) -> None:
        """See `Transport`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _shorter(self) -> SourceError:
        return SourceError(f"{self.name}: the file has become shorter while it was read")


def read_at(fd: int, size: int, place: int) -> bytes:
    """At most `size` bytes of the file at `fd` from `place` on."""
    if hasattr(os, "pread"):
        return os.pread(fd, size, place)
    os.lseek(fd, place, os.SEEK_SET)  # Windows: nobody else reads from this descriptor
    return os.read(fd, size)


def size_is_true(fd: int) -> bool:
    """Whether the content of the regular file at `fd` ends where its size says.

    Files in /proc say 0, files in /sys 4096, whatever is in them.
    """
    size = os.fstat(fd).st_size
    try:
        return bool(read_at(fd, 1, size - 1)) if size else not read_at(fd, 1, 0)
    except OSError:  # it cannot be read at a place
        return False
