"""Writing files: whole or not at all, where a name leads, and with the mode that a file made by hand would have."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["is_special", "replace_file", "standard_stream", "sync_folder", "try_file", "write_file"]

STANDARD_STREAMS = (1, 2)


def replace_file(path: str | os.PathLike[str], content: Iterable[bytes | memoryview], *, private: bool = False) -> None:
    """Write `content` to `path`, in place of what stood there: a reader, or a crash, never sees half of it.

    It is written under a temporary name beside `path`, synced, and renamed. A file that stood there hands its mode on;
    a new one has that of the umask, or where it is `private` is for its owner alone. A symbolic link is replaced, not
    followed. Raises OSError.
    """
    target = Path(path)
    mode = 0o600 if private else _mode(target)
    temporary = target.parent / f".{target.name[:40]}.{secrets.token_hex(4)}"  # a name has a longest length
    # Nobody may read for a moment what the old mode keeps from him.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags, 0o666 if mode is None else 0o600)
    try:
        with open(descriptor, "wb") as file:
            for part in content:
                file.write(part)
            file.flush()
            os.fsync(descriptor)
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """See that the names in the folder at `path` stay as they are. Raises OSError."""
    with suppress(PermissionError):  # a folder that may not be read, or a system that does not open folders
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_file(path: str | os.PathLike[str], content: Iterable[bytes | memoryview]) -> None:
    """Write `content` to the file that a user named `path`.

    Symbolic links are followed. A regular file is replaced as by `replace_file`; a device or a pipe is written to, and
    so is what standard output or standard error go to already, and a file in a folder that is not ours to write to.
    Raises OSError.
    """
    stream = standard_stream(path)
    if stream is None and not is_special(path) and not _only_in_place(path):
        replace_file(os.path.realpath(path), content)
        return
    with open(path if stream is None else os.dup(stream), "wb") as file:
        for part in content:
            file.write(part)


def try_file(path: str | os.PathLike[str]) -> None:
    """Try that `write_file` can write `path` later, and leave everything as it is. Raises OSError."""
    if not os.fspath(path):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), os.fspath(path))
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if standard_stream(path) is not None or _only_in_place(path):
        return
    if is_special(path):  # not opened: a pipe would wait for its reader, and a device may do anything
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
        return
    with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
        pass


def _mode(path: Path) -> int | None:
    """The mode of the regular file `path`, if there is one."""
    try:
        found = path.lstat().st_mode
    except FileNotFoundError:
        return None
    return stat.S_IMODE(found) if stat.S_ISREG(found) else None


def _only_in_place(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is a file that may be written to, in a folder that may not."""
    folder = os.path.dirname(os.path.realpath(path))
    return os.access(path, os.W_OK) and not os.access(folder, os.W_OK | os.X_OK)


def is_special(path: str | os.PathLike[str]) -> bool:
    """Whether `path` leads to something that is no regular file."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def standard_stream(path: str | os.PathLike[str]) -> int | None:
    """Which of the standard streams goes to `path`, as /dev/stdout does: to replace that file would cut it off."""
    with suppress(OSError):
        found = os.stat(path)
        for stream in STANDARD_STREAMS:
            with suppress(OSError):
                if os.path.samestat(found, os.fstat(stream)):
                    return stream
    return None
