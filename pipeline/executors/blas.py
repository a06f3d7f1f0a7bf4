"""The number of BLAS threads while trainers run: a setting of the whole process, so they have to agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl

__all__ = ["blas_threads"]

_holders: list[int] = []
_limits: list[threadpoolctl.threadpool_limits] = []


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Hold the number of BLAS threads at `count` for the block; the last block to end restores what was.

    Raises ValueError where a block that has not ended holds another number.
    """
    if _holders and _holders[0] != count:
        raise ValueError(f"blas_threads: expected {_holders[0]}, as of a trainer that is running, got {count}")
    if not _holders:
        _limits.append(threadpoolctl.threadpool_limits(count, user_api="blas"))
    _holders.append(count)
    try:
        yield
    finally:
        _holders.pop()
        if not _holders:
            _limits.pop().restore_original_limits()
