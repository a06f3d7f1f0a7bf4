"""The number of BLAS threads: a setting of the whole process, so all that compute at the same time have to agree on it.

It is kept on purpose and not by timing, because it can change the last bits of a product.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import threadpoolctl

from .checks import ArgumentError

__all__ = ["blas_threads", "one_blas_thread"]

_lock = threading.Lock()  # of the two below; event loops in several threads come here
_holders: dict[object, int] = {}  # the blocks that have not ended, and their numbers, which are the same
_plain = 0  # blocks of `one_blas_thread` that have not ended
_before: list[tuple[Any, int]] = []  # the libraries that were changed, and what they had before


@cache
def _libraries() -> list[Any]:
    """What is loaded when the first block is entered, NumPy's own among it. To look for them takes 0.2 ms."""
    return list(threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Hold the number of BLAS threads at `count` for the block; the last block to end restores what was.

    Blocks may overlap in any way, and in several threads. One inside another costs two microseconds.

    Raises ArgumentError where a block that has not ended holds another number.
    """
    holder = object()
    try:  # around the start too: an interrupt between the two must not leave the number behind
        _start(holder, count)
        yield
    finally:
        _end(holder)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """One BLAS thread for the block, for products too small to be cut up; where a number is held, that one.

    Unlike `blas_threads` it stands in nobody's way: who comes meanwhile and asks for a number gets it.
    """
    global _plain
    try:
        with _lock:
            _plain += 1
            if not _holders:
                _limit(1)
        yield
    finally:
        with _lock:
            _plain -= 1
            _restore()


def _start(holder: object, count: int) -> None:
    with _lock:
        for held in _holders.values():
            if held != count:
                raise ArgumentError("blas_threads", f"{held}, as of a trainer that is running", count)
        if not _holders:
            _limit(count)
        _holders[holder] = count


def _end(holder: object) -> None:
    with _lock:
        _holders.pop(holder, None)
        _restore()


def _limit(count: int) -> None:
    """Set the number, and keep what was before the first who did."""
    changed = [library for library, _ in _before]
    for library in _libraries():
        number = library.num_threads
        if number not in (count, None):  # None: the library cannot say
            if library not in changed:
                _before.append((library, number))
            _set(library, count)


def _restore() -> None:
    """Set back what was, if the last block has ended."""
    while _before and not _holders and not _plain:
        library, number = _before.pop()
        _set(library, number)


def _set(library: Any, number: int) -> None:  # noqa: ANN401 (threadpoolctl has no types)
    # From 3.8 on threadpoolctl lets one thread alone set the number of an OpenBLAS, silently; any that has entered
    # here must be able to. That thread, if it is someone else's, gets its say back when it sets a number again.
    clear = getattr(library, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)
    library.set_num_threads(number)
    if clear is not None:
        clear()
