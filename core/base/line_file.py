"""A file that lines are written to as they come, and that can be gone on with where it was at some time."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from .checks import check_count
from .files import is_special, standard_stream
from .unsynced import Unsynced

__all__ = ["LineFile"]

MOST_HELD = 64 << 20  # bytes


class LineFile:
    """Writes to the file at `path`, at once, nothing being held back. Raises OSError, which names the file.

    It begins anew; or, where `position` is one that it had, it is cut back to that and goes on. With `rotate` a file
    that has come to so many bytes is renamed behind its last line, to ``path.1``, the next one to ``path.2``, and so
    on. What standard output or standard error go to already, and devices and pipes, are gone on with as they are.
    """

    def __init__(
        self, path: str | os.PathLike[str], position: dict[str, Any] | None = None, rotate: int | None = None
    ) -> None:
        self._path, self._rotate = os.fspath(path), rotate
        self._number = self._length = 0  # files that are full, and the bytes of this one
        self._unsynced = Unsynced()
        self._held = bytearray()  # what could not be written yet
        self._part = 0  # what of a piece has been
        stream = standard_stream(path)
        self._special = stream is not None or is_special(path)
        goes_on = not self._special and position is not None and position.get("path") == os.path.realpath(path)
        if goes_on and position is not None:
            self._go_back(check_count("number", position.get("number"), 0), position)
        elif rotate is not None and not self._special:
            self._forget(0)
        mode = "wb" if self._special else "r+b" if self._length else "w+b"
        self._file = open(path if stream is None else os.dup(stream), mode, buffering=0)  # noqa: SIM115 (see `close`)
        if self._length:
            self._file.seek(self._length)

    def _go_back(self, number: int, position: dict[str, Any]) -> None:
        """Let the files be what they were when `number` of them were full."""
        self._forget(number + 1)
        if os.path.lexists(self._named(number + 1)):  # this one has been full since
            os.replace(self._named(number + 1), self._path)
        self._number, self._length = number, check_count("length", position.get("length"), 0)
        size = os.path.getsize(self._path) if os.path.exists(self._path) else 0
        if size < self._length:
            raise OSError(5, f"has {size} bytes, and had {self._length} when the checkpoint was made", self._path)
        if self._length:
            os.truncate(self._path, self._length)

    def _forget(self, number: int) -> None:
        """Remove the files that were full behind the first `number`."""
        number += 1
        while os.path.lexists(self._named(number)):
            os.unlink(self._named(number))
            number += 1

    def _named(self, number: int) -> str:
        return f"{self._path}.{number}"

    def write(self, data: bytes | bytearray) -> None:
        """Write all of `data`, which are whole lines.

        Where a regular file cannot be written now, as the disk is full, up to 64 MiB are held back until it can be.
        """
        if self._held:
            self._held += data
            data = bytes(self._held)
        done = 0
        try:
            while done < len(data):
                done += self._write(data, done)
        except OSError as error:
            rest = data[done + self._part :] if self._part else data[done:]
            if self._special or len(rest) > MOST_HELD:
                raise OSError(error.errno, error.strerror, self._path) from None
            self._held = bytearray(rest)
        else:
            self._held.clear()

    def _write(self, data: bytes | bytearray, start: int) -> int:
        """Write what goes into this file of `data` from `start` on; how much that is."""
        end = len(data)
        if self._rotate is not None and not self._special:
            end = 1 + data.find(b"\n", start + max(0, self._rotate - self._length - 1)) or end
        rest = memoryview(data)[start:end]
        self._part = 0
        while self._part < len(rest):
            count = self._file.write(rest[self._part :])
            self._part += count
            self._length += count
        self._part = 0
        if self._rotate is not None and self._length >= self._rotate and not self._special:
            self._begin_another()
        return end - start

    def _begin_another(self) -> None:
        os.replace(self._path, self._named(self._number + 1))
        self._unsynced.add(os.dup(self._file.fileno()), self._length)
        self._file.close()
        self._number += 1
        self._file, self._length = open(self._path, "w+b", buffering=0), 0  # noqa: SIM115 (see `close`)

    def position(self) -> dict[str, Any] | None:
        """How far it is, as JSON; None where what has been written cannot be taken back."""
        if self._special:
            return None
        self.write(b"")
        where = {"path": os.path.realpath(self._path), "number": self._number}
        return where | {"length": self._length + len(self._held)}

    def sync(self) -> Callable[[], None]:
        """What sees, in another thread too, that all that was written by now is on the disk; it is to be called once.

        It raises OSError.
        """
        if self._special:
            return _nothing
        self._unsynced.add(os.dup(self._file.fileno()), self._length)
        sync = self._unsynced.take(os.path.dirname(os.path.realpath(self._path)))
        path, held = self._path, len(self._held)

        def work() -> None:
            try:
                sync()
                if held:
                    raise OSError(28, f"{held} bytes could not be written")
            except OSError as error:
                raise OSError(error.errno, error.strerror, path) from None

        return work

    def close(self) -> None:
        """Close the file. Raises OSError where something could not be written."""
        self._unsynced.close()
        try:
            self.write(b"")
            if self._held:
                raise OSError(28, f"{len(self._held)} bytes could not be written", self._path)
        finally:
            self._held.clear()
            self._file.close()

    def __enter__(self) -> LineFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _nothing() -> None:
    pass
