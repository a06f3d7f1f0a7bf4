"""A journal: entries that are appended to files, so that what cannot be had again from its source can be read again.

A segment is a file whose name is the number of its first entry. An entry is its length, the CRC-32 of its bytes, and
the CRC-32 of these two, each in four bytes, little-endian; and then its bytes.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ...core.base.files import replace_file
from ...core.base.unsynced import Unsynced
from .source import SourceError

__all__ = ["Journal", "Journals"]

HEAD = struct.Struct("<III")
SEGMENT = 16 << 20  # bytes, about
LONGEST = 64 << 20  # bytes of an entry
NAME = re.compile(r"([0-9]{12})\.journal")
NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)


class Journal:
    """The entries in `folder`, from ``first`` to before ``end``. Nothing is read or written through a link.

    A last entry that was cut off by the end of its process is none. Raises SourceError, which names the file, where
    another one is damaged, and OSError; or with `allow_gap` forgets all from there on, and ``gaps`` is 1. One that is
    `only` read is left as it is: another process may be writing it.
    """

    def __init__(self, folder: str | os.PathLike[str], *, allow_gap: bool = False, only: bool = False) -> None:
        self.folder = Path(folder)
        self._fd = -1
        self._old: list[Path] = []  # files that are to be removed
        self._unsynced = Unsynced()
        self._size = self._total = 0  # bytes of the last segment, and of all
        self._starts = self._segments()
        self.end = self.first
        self.gaps = 0
        if self._starts and allow_gap and not only:
            self._cut()
        if self._starts:
            whole, self.end = self._look_at_last()
            if whole < self._path(self._starts[-1]).stat().st_size and not only:
                os.truncate(self._path(self._starts[-1]), whole)
            self._size = whole
            self._total = sum(self._path(start).stat().st_size for start in self._starts)

    @property
    def first(self) -> int:
        """The number of the first entry that is still there."""
        return self._starts[0] if self._starts else 0

    @property
    def last(self) -> int:
        """The number of the first entry of the last file."""
        return self._starts[-1] if self._starts else 0

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return self._total

    def _path(self, start: int) -> Path:
        return self.folder / f"{start:012}.journal"

    def _segments(self) -> list[int]:
        if self.folder.is_symlink():
            raise SourceError(f"{self.folder}: is a link, and a journal is in a folder of its own")
        if not self.folder.is_dir():
            return []
        return sorted(int(name[1]) for name in map(NAME.fullmatch, os.listdir(self.folder)) if name is not None)

    def _look_at_last(self) -> tuple[int, int]:
        """How many bytes of the last segment are whole entries, and the number behind them."""
        size, number = 0, self._starts[-1]
        for data in self._read(self._starts[-1], last=True):
            size, number = size + HEAD.size + len(data), number + 1
        return size, number

    def _read(self, start: int, *, last: bool) -> Iterator[bytes]:
        """The entries of a segment; the `last` one may end within an entry."""
        path = self._path(start)
        with open(os.open(path, os.O_RDONLY | NOFOLLOW), "rb") as file:
            place, size = 0, os.fstat(file.fileno()).st_size
            while place < size:
                head = file.read(HEAD.size)
                length, check, of_head = HEAD.unpack(head) if len(head) == HEAD.size else (0, 0, 0)
                good = len(head) == HEAD.size and zlib.crc32(head[:8]) == of_head and length <= LONGEST
                data = file.read(length) if good else b""
                if not good or len(data) < length or zlib.crc32(data) != check:
                    rest = head[8:] + data + file.read() if not good else b""
                    cut = len(head) < HEAD.size or (good and place + HEAD.size + length >= size) or not any(head + rest)
                    if last and cut:
                        return
                    raise SourceError(f"{path}: damaged at byte {place:,}; --allow-gap goes on without what is behind")
                place += HEAD.size + length
                yield data

    def read(self, number: int) -> Iterator[tuple[int, bytes]]:
        """The entries from this number on, each with its own. Raises SourceError where they are not there any more."""
        if not self.first <= number <= self.end:
            there = f"{self.first:,} to {self.end:,}"
            raise SourceError(f"{self.folder}: expected to begin with one of its entries, {there}, got {number:,}")
        starts = [*self._starts]
        for index, start in enumerate(starts):
            following = starts[index + 1] if index + 1 < len(starts) else self.end
            if following <= number:
                continue
            at = start
            for data in self._read(start, last=index + 1 == len(starts)):
                if at >= number:
                    yield at, data
                at += 1
                if at == following:
                    break
            if at < following:
                raise SourceError(f"{self._path(start)}: ends before the entry {following:,}")

    def append(self, *parts: bytes) -> int:
        """Write an entry; its number. Raises OSError, and then there is none."""
        length, check = sum(map(len, parts)), 0
        for part in parts:
            check = zlib.crc32(part, check)
        head = struct.pack("<II", length, check)
        head += struct.pack("<I", zlib.crc32(head))
        if self._fd < 0 or self._size >= SEGMENT or self._gone():
            self._begin()
        rest = [head, *parts]
        try:
            while rest:
                count = os.writev(self._fd, rest) if hasattr(os, "writev") else os.write(self._fd, rest[0])
                while rest and count >= len(rest[0]):
                    count -= len(rest.pop(0))
                if rest and count:
                    rest[0] = rest[0][count:]
        except OSError:
            with suppress(OSError):  # what is there of it is none, when it is read again
                os.lseek(self._fd, self._size, os.SEEK_SET)
                os.ftruncate(self._fd, self._size)
            raise
        self._size += HEAD.size + length
        self._total += HEAD.size + length
        self.end += 1
        return self.end - 1

    @property
    def place(self) -> tuple[str, int]:
        """The file that has the last entry, and its byte where that ends."""
        return str(self._path(self._starts[-1]).absolute()), self._size

    def _begin(self) -> None:
        """Open the last segment, or another one behind it."""
        new = not self._starts or self._size >= SEGMENT
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._gone():  # with its folder, and perhaps before all of it was synced
            replace_file(self._path(self._starts[-1]), [os.pread(self._fd, self._size, 0)], private=True)
            self._starts, self._total = self._starts[-1:], self._size
        start = self.end if new else self._starts[-1]
        fd = os.open(self._path(start), os.O_RDWR | os.O_CREAT | NOFOLLOW, 0o600)
        if self._fd >= 0:
            self._unsynced.add(self._fd, self._size)
        self._fd = fd
        if new:
            self._starts.append(start)
            self._size = 0
        os.lseek(fd, self._size, os.SEEK_SET)

    def _gone(self) -> bool:
        return self._fd >= 0 and os.fstat(self._fd).st_nlink == 0

    def sync(self) -> Callable[[], None] | None:
        """See `LineFile.sync`; None where there is nothing."""
        if self._fd < 0:
            return None
        self._unsynced.add(os.dup(self._fd), self._size)
        sync, folder = self._unsynced.take(self.folder), str(self.folder)

        def work() -> None:
            try:
                sync()
            except OSError as error:
                raise OSError(error.errno, error.strerror, folder) from None

        return work

    def forget(self, before: int) -> None:
        """Forget segments all of whose entries are before this number; `remove` removes their files."""
        while len(self._starts) > 1 and self._starts[1] <= before:
            path = self._path(self._starts.pop(0))
            self._old.append(path)
            self._total -= path.stat().st_size if path.exists() else 0

    def remove(self) -> None:
        """Remove the files of what is forgotten, in another thread too. Raises OSError, and will try again."""
        while self._old:
            self._old[0].unlink(missing_ok=True)
            del self._old[0]

    def _cut(self) -> None:
        """Forget all that is behind the first damage, and what is damaged."""
        for index, start in enumerate([*self._starts]):
            size, number = 0, start
            with suppress(SourceError):
                for data in self._read(start, last=index + 1 == len(self._starts)):
                    size, number = size + HEAD.size + len(data), number + 1
            following = self._starts[index + 1] if index + 1 < len(self._starts) else number
            if number < following or size < self._path(start).stat().st_size:
                os.truncate(self._path(start), size)
                for later in self._starts[index + 1 :]:
                    self._path(later).unlink()
                del self._starts[index + 1 :]
                self.gaps = 1
                return

    def clear(self) -> None:
        """Remove all of it."""
        for start in self._starts:
            self._path(start).unlink(missing_ok=True)
        self.close()
        self._starts, self._size, self._total, self.end = [], 0, 0, 0

    def close(self) -> None:
        """Close the file that is written to."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        self._unsynced.close()


class Journals:
    """The journals of a run in `folder`: one of each source, by its place, and one of what was decided.

    With `only` they are all that is read; for `allow_gap` see `Journal`. ``on_full`` is called where one is too long.
    """

    def __init__(self, folder: str | os.PathLike[str], *, allow_gap: bool = False, only: bool = False) -> None:
        self.folder, self.allow_gap, self.only = Path(folder), allow_gap, only
        self.on_full: Callable[[], object] = int
        self._open: dict[str, Journal] = {}

    def of(self, source: int | str) -> Journal:
        """That of this source. Raises SourceError, OSError."""
        name = str(source)
        if name not in self._open:
            if self.folder.is_symlink():
                raise SourceError(f"{self.folder}: is a link, and journals are in a folder of their own")
            self._open[name] = Journal(self.folder / name, allow_gap=self.allow_gap, only=self.only)
        return self._open[name]

    def full(self) -> None:
        """One is too long."""
        self.on_full()

    @property
    def decisions(self) -> Journal:
        """That of what was decided."""
        return self.of("decisions")

    def position(self) -> dict[str, int]:
        """How many entries there are, by journal."""
        return {name: journal.end for name, journal in self._open.items()}

    def sync(self) -> Callable[[], None] | None:
        """See `LineFile.sync`."""
        works = [work for journal in self._open.values() if (work := journal.sync()) is not None]

        def sync() -> None:
            errors = []
            for work in works:
                try:
                    work()
                except OSError as error:
                    errors.append(error)
            if errors:
                raise errors[0]

        return sync if works else None

    def forget(self, before: Mapping[str, int]) -> Callable[[], None]:
        """Forget what is before these entries; what removes it, in another thread too. It raises OSError."""
        journals = [journal for name, journal in self._open.items() if name in before]
        for name, number in before.items():
            if name in self._open:
                self._open[name].forget(number)

        def work() -> None:
            for journal in journals:
                journal.remove()

        return work

    def clear(self) -> bool:
        """Remove all of them; whether there were any. Raises OSError."""
        found = False
        if self.folder.is_dir() and not self.folder.is_symlink():
            for name in os.listdir(self.folder):
                if name.isdigit() or name == "decisions":
                    shutil.rmtree(self.folder / name)
                    found = True
        return found

    def close(self) -> None:
        """Close those that are open."""
        for journal in self._open.values():
            journal.close()
