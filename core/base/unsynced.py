"""What has been written to files, and may not be on the disk yet."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock

from .files import sync_folder

__all__ = ["Unsynced"]

PIECE = 1 << 20  # bytes

Written = tuple[int, int]  # a descriptor that can be read too, and how many bytes of its file are to be synced


class Unsynced:
    """Files that are to be synced, by the descriptors that they were written with.

    Where a sync fails, the system takes what it could not write for written, and a second try would say that all is
    well. So the bytes of such a file are written again before that, whoever tries it.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], Written] = {}  # by device and inode
        self._failed: set[tuple[int, int]] = set()
        self._back: list[tuple[tuple[int, int], Written]] = []  # from a thread
        self._one = Lock()  # an error is said to one of two syncs at the same time alone

    def add(self, descriptor: int, length: int) -> None:
        """Let the first `length` bytes of a file be synced. The descriptor is closed afterwards."""
        found = os.fstat(descriptor)
        before = self._files.pop((found.st_dev, found.st_ino), None)
        if before is not None:
            os.close(before[0])
        self._files[found.st_dev, found.st_ino] = descriptor, length

    def take(self, folder: str | os.PathLike[str]) -> Callable[[], None]:
        """What syncs them, and their names in `folder`, in another thread too; to be called once. It raises OSError."""
        while self._back:
            key, written = self._back.pop()
            if key in self._files:
                os.close(written[0])
            else:
                self._files[key] = written
        files, self._files = [*self._files.items()], {}

        def work() -> None:
            with self._one:
                try:
                    while files:
                        key, (descriptor, length) = files[0]
                        if key in self._failed:
                            _write_again(descriptor, length)
                        self._failed.add(key)
                        os.fsync(descriptor)
                        self._failed.discard(key)
                        os.close(descriptor)
                        del files[0]
                    sync_folder(folder)
                finally:
                    self._back += files

        return work

    def close(self) -> None:
        """Close the files."""
        for descriptor, _ in [*self._files.values(), *[written for _, written in self._back]]:
            os.close(descriptor)
        self._files.clear()
        self._back.clear()


def _write_again(descriptor: int, length: int) -> None:
    """Let the first `length` bytes of a file, as they can be read, be ones that are to be written."""
    place = 0
    while hasattr(os, "pwrite") and place < length:
        piece = os.pread(descriptor, min(PIECE, length - place), place)
        if not piece:
            return
        place += os.pwrite(descriptor, piece, place)
