"""A log that grows: through rotation, truncation and a path that is not there yet, by looking again and again."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import trio

from .file import read_at
from .source import CUT, Chunk, Position, SourceError, Streams
from .transport import Opening, Transport

__all__ = ["TailTransport", "open_tail", "tail_path"]

CHUNK = 1 << 17  # bytes of a chunk at most
POLL = 0.05  # seconds between two looks
PRINT = 64  # bytes before the position by which a file is known again
START, END = "?from=start", "?from=end"


class TailTransport(Transport):
    """What is in the file at `path`, and what is written behind it, for ever; a new file there is a new stream.

    A file that has become shorter, or whose last bytes before the position are others than they were, has been written
    anew and is read from its start. One that was moved away is read to its end first. A link is followed, and followed
    again where it is turned. With `at_end` the first file begins behind its last whole line.

    A half line is no record: it waits for its rest, and where its file has gone it is rejected.
    """

    rewindable = False
    streams = Streams.FILES

    def __init__(self, path: str, opening: Opening, *, at_end: bool = False) -> None:
        self.name, self._path, self._opening = path, path, opening
        self._at_end, self._fd = at_end, -1
        self._place = 0
        self._before = b""  # the last bytes before the position
        self._stream, self._files = -1, 0
        self._drained = False  # nothing more has come since the file was seen to have moved away
        self._said = False

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return {"byte": self._place, "file": self._stream}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: how many files there have been, and the bytes that have not been read yet."""
        unread = 0
        if self._fd >= 0:
            with suppress(OSError):
                unread = max(0, os.fstat(self._fd).st_size - self._place)
        return {"files": self._files, "unread": unread}

    async def receive(self) -> Chunk:
        """See `Transport`."""
        await trio.lowlevel.checkpoint()
        while True:
            try:
                chunk = self._look()
            except OSError as error:
                raise SourceError(f"{self.name}: {error.strerror}") from None
            if chunk is not None:
                return chunk
            await trio.sleep(POLL)

    def _look(self) -> Chunk | None:
        """What there is by now; None where nothing is."""
        if self._fd < 0 and not self._open():
            return None
        size = os.fstat(self._fd).st_size
        if size < self._place or not self._is_known():
            self._opening.notice(f"{self.name}: was written anew; reading it from its start")
            ended = self._ended()
            self._begin()
            return ended
        data = read_at(self._fd, CHUNK, self._place) if size > self._place else b""
        if data:
            self._place += len(data)
            self._before = (self._before + data)[-PRINT:]
            self._drained = False
            return Chunk(data, self.name, self.position, self._stream)
        if not self._has_moved():
            self._drained = False
        elif not self._drained:
            self._drained = True  # whoever writes it may do so once more
        else:
            ended = self._ended()
            os.close(self._fd)
            self._fd = -1
            return ended
        return None

    def _open(self) -> bool:
        """Open the file, if there is one."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            if not self._said:
                self._opening.notice(f"{self.name}: is not there yet; waiting for it")
                self._said = True
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SourceError(f"{self.name}: is no regular file, and only such can be followed")
        self._fd = fd
        self._begin()
        if self._at_end:
            self._place = _behind_last_line(fd)
            self._before = read_at(fd, min(PRINT, self._place), max(0, self._place - PRINT))
        self._at_end = False
        return True

    def _begin(self) -> None:
        self._place, self._before, self._drained, self._said = 0, b"", False, True
        self._stream += 1
        self._files += 1

    def _ended(self) -> Chunk:
        return Chunk(b"", self.name, self.position, self._stream, CUT)

    def _is_known(self) -> bool:
        """Whether the bytes before the position are still those that were read."""
        return read_at(self._fd, len(self._before), self._place - len(self._before)) == self._before

    def _has_moved(self) -> bool:
        """Whether there is another file at the path; one that is not there yet does not count."""
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    async def aclose(self) -> None:
        """See `Transport`."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        await trio.lowlevel.checkpoint()


def _behind_last_line(fd: int) -> int:
    """Where the line begins that is not complete."""
    end = os.fstat(fd).st_size
    while end:
        start = max(0, end - CHUNK)
        at = read_at(fd, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def tail_path(rest: str) -> str:
    """The path in an address behind its scheme."""
    return rest.removesuffix(END).removesuffix(START)


@asynccontextmanager
async def open_tail(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``tail:path``, from the start of the file on, or with ``?from=end`` behind what there is."""
    async with TailTransport(tail_path(rest), opening, at_end=rest.endswith(END)) as transport:
        yield transport
