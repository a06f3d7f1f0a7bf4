"""Pipes between processes."""

from __future__ import annotations

from contextlib import suppress

__all__ = ["widen"]

ROOM = 1 << 20  # bytes; what Linux gives to everybody


def widen(descriptor: int) -> None:
    """Let more lie in a pipe, so that whoever reads it finds more at once; where that cannot be, it stays as it is."""
    with suppress(ImportError, AttributeError, OSError):  # not Linux, no pipe, or a user who has too many
        import fcntl

        if fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < ROOM:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, ROOM)
