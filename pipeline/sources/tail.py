"""A log that grows: through rotation, truncation and a path that is not there yet, by looking again and again."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import trio

from .file import read_at
from .source import CUT, GONE, Chunk, Position, SourceError, Streams
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

    It can go on where it was in an earlier process: in the file with that inode, and those bytes at its start and
    before the position; at the path, or beside it, where it has been moved to since, or copied. Then come those beside
    it that are newer, and then the one at the path. Where the file is nowhere, and another at the path, that is an
    error; with `Opening.allow_gap` it goes on there. One that was written anew in its place is read from its start.
    """

    rewindable = True
    streams = Streams.FILES

    def __init__(self, path: str, opening: Opening, *, at_end: bool = False) -> None:
        self.name, self._path, self._opening = path, path, opening
        self._at_end, self._fd = at_end, -1
        self._place = 0
        self._before = b""  # the last bytes before the position
        self._stream, self._files = -1, 0
        self._first, self._inode = b"", 0  # the first bytes of the file, and which one it is
        self._sought: Position | None = None  # where it was in an earlier process
        self._queue: list[str] = []  # files that were moved away behind the one that is open
        self._gaps = 0
        self._drained = False  # nothing more has come since the file was seen to have moved away
        self._said = False

    @property
    def position(self) -> Position:
        """See `Transport`."""
        if self._sought is not None:
            return self._sought
        if self._fd < 0:
            return {"file": self._stream, "queue": "\n".join(self._queue)}
        first, before = self._first.decode("latin-1"), self._before.decode("latin-1")
        where = {"byte": self._place, "known": self._place, "file": self._stream, "inode": self._inode}
        return {**where, "first": first, "before": before}

    def before(self, chunk: Chunk, position: Position) -> Position:
        """See `Transport`."""
        return {**chunk.after, "byte": int(chunk.after["byte"]) - len(chunk.data)} if chunk.data else position

    def rewind(self, position: Position) -> None:
        """See `Transport`; the file is looked for when it is read from."""
        if "byte" in position:
            self._sought = position
        self._stream, self._at_end = int(position.get("file", -1)), self._at_end and not position
        self._queue = [path for path in str(position.get("queue", "")).split("\n") if path]

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: how many files there have been, what was lost between two processes, and unread bytes."""
        unread = 0
        if self._fd >= 0:
            with suppress(OSError):
                unread = max(0, os.fstat(self._fd).st_size - self._place)
        return {"files": self._files, "unread": unread, **({"gaps": self._gaps} if self._gaps else {})}

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
        if self._sought is not None:
            return self._go_on(self._sought)
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
            self._first = (self._first + data)[:PRINT] if len(self._first) < PRINT else self._first
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

    def _go_on(self, sought: Position) -> Chunk | None:
        """Open the file in which it was at this position, wherever it is now."""
        own = _opened(self._path)
        if own is not None and _is_that(own, sought):
            self._take(own, sought)
            return None
        beside = _beside(self._path)
        for index, (path, inode) in enumerate(beside):
            fd = _opened(path)
            if fd is not None and _is_that(fd, sought):
                self._take(fd, sought)
                # A copy that was made while the file itself was written anew has the bytes, and no more than these.
                self._queue = [other for other, number in beside[index + 1 :] if number != inode]
                if own is not None:
                    os.close(own)
                self._opening.notice(f"{self.name}: going on in {path}, where it has been moved to")
                return None
            if fd is not None:
                os.close(fd)
        if own is None:
            return None  # it may come
        anew = os.fstat(own).st_ino == sought.get("inode")
        os.close(own)
        if not anew and not self._opening.allow_gap:
            what = f"what stood behind byte {sought['byte']:,} of the file that it was is nowhere near it"
            raise SourceError(f"{self.name}: {what}; --allow-gap goes on without")
        self._gaps += not anew
        self._opening.notice(f"{self.name}: was written anew; reading it from its start")
        self._sought = None
        return Chunk(b"", self.name, self.position, self._stream, GONE)

    def _take(self, fd: int, sought: Position) -> None:
        self._fd, self._sought, self._drained, self._said = fd, None, False, True
        self._place, self._inode = int(sought["byte"]), os.fstat(fd).st_ino
        self._first = str(sought["first"]).encode("latin-1")
        self._before = read_at(fd, min(PRINT, self._place), max(0, self._place - PRINT))
        self._files += 1

    def _open(self) -> bool:
        """Open the file that is next, if there is one."""
        path = self._queue.pop(0) if self._queue else self._path
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            if not self._said:
                self._opening.notice(f"{self.name}: is not there yet; waiting for it")
                self._said = True
            return False
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SourceError(f"{self.name}: is no regular file, and only such can be followed")
        self._fd, self._inode = fd, os.fstat(fd).st_ino
        self._begin()
        if self._at_end:
            self._place = _behind_last_line(fd)
            self._before = read_at(fd, min(PRINT, self._place), max(0, self._place - PRINT))
            self._first = read_at(fd, min(PRINT, self._place), 0)
        self._at_end = False
        return True

    def _begin(self) -> None:
        self._place, self._first, self._before, self._drained, self._said = 0, b"", b"", False, True
        self._stream += 1
        self._files += 1

    def _ended(self) -> Chunk:
        return Chunk(b"", self.name, self.position, self._stream, CUT)

    def _is_known(self) -> bool:
        """Whether the bytes before the position are still those that were read."""
        return read_at(self._fd, len(self._before), self._place - len(self._before)) == self._before

    def _has_moved(self) -> bool:
        """Whether there is another file at the path; one that is not there yet does not count."""
        if self._queue:
            return True
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


def _opened(path: str) -> int | None:
    """A descriptor of the regular file at `path`; None where there is none that can be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    return None


def _is_that(fd: int, sought: Position) -> bool:
    """Whether it has the bytes that the file at this position had."""
    known, first, before = int(sought["known"]), *(str(sought[name]).encode("latin-1") for name in ("first", "before"))
    return read_at(fd, len(first), 0) == first and read_at(fd, len(before), known - len(before)) == before


def _beside(path: str) -> list[tuple[str, int]]:
    """The files whose names begin with that of `path`, as those that it was moved to, the oldest first; their inodes.

    Not those that were compressed.
    """
    folder, name = os.path.split(os.path.realpath(path))
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(name) and entry.name != name and entry.is_file(follow_symlinks=False):
                about = entry.stat(follow_symlinks=False)
                found.append((about.st_mtime_ns, entry.path, about.st_ino))
    return [(path, inode) for _, path, inode in sorted(found)]


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
