"""Memory that processes share, and that is given back when it is released.

Not when the last array in it is gone: after a run has failed that is up to the garbage collector, because the
tracebacks of cancelled tasks hold each other, and by them every array of the run.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import trio

from ...core.base.parameters import Array

__all__ = ["SharedMemory", "attach", "nameless_file"]

MAP_FIXED = 0x10  # Linux on x86-64; Python's mmap does not have it


class SharedMemory:
    """`size` bytes that processes share, all zero at first: ``array``, behind ``fd``."""

    @trio.lowlevel.enable_ki_protection
    def __init__(self, size: int) -> None:
        # The place is an mmap's, which frees it after the last array; what is there, is ours to change.
        self.array = np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)
        self.fd = os.memfd_create("recurrio")
        try:
            os.truncate(self.fd, size)
            self._lay(self.fd, mmap.MAP_SHARED)
        except BaseException:
            os.close(self.fd)
            raise

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """Share it with no more processes. Arrays in it stay as they are."""
        os.close(self.fd)

    @trio.lowlevel.enable_ki_protection
    def release(self) -> None:
        """Give the memory back. Arrays in it are zeros from here on."""
        self._lay(-1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)

    def _lay(self, fd: int, flags: int) -> None:
        """Put the file `fd`, or for −1 fresh pages, which take no room until they are written, where ``array`` is."""
        call = ctypes.CDLL(None, use_errno=True).mmap
        call.restype, call.argtypes = (
            ctypes.c_void_p,
            [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long],
        )
        place, protection = self.array.ctypes.data, mmap.PROT_READ | mmap.PROT_WRITE
        if call(place, self.array.nbytes, protection, flags | MAP_FIXED, fd, 0) != place:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def attach(fd: int, size: int) -> Array:
    """The `size` bytes of the SharedMemory behind `fd`, in another process, for as long as that lives."""
    return np.frombuffer(mmap.mmap(fd, size), np.uint8)


@contextmanager
def nameless_file(content: bytes) -> Iterator[int]:
    """A file without a name, for as long as the block: command lines have a limit, and pipes block when full."""
    fd = os.memfd_create("recurrio")
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        yield fd
    finally:
        os.close(fd)
