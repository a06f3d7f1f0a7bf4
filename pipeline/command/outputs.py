"""The files that the command is to write: that it can, and that none of them is another one, or what it reads."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping

from ...core.base.files import try_file

__all__ = ["Outputs"]


class Outputs:
    """Which files are spoken for, by whatever name: those in `read`, by what they are, ``-`` being standard input."""

    def __init__(self, read: Mapping[str, str | os.PathLike[str]]) -> None:
        self._taken = {_identity(path): what for what, path in read.items()}

    def claim(self, option: str, path: str) -> None:
        """The file at `path` is to be what `option` writes. Raises OSError, and ValueError where it is taken."""
        try:
            try_file(path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{option} {path or repr(path)}") from None
        if (other := self.owner(path)) is not None and (os.path.isfile(path) or not os.path.exists(path)):
            raise ValueError(f"{option} {path}: is {other} already")
        self._taken[_identity(path)] = option

    def owner(self, path: str | os.PathLike[str]) -> str | None:
        """What the file at `path` is already, None if nothing."""
        return self._taken.get(_identity(path))


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | str:
    """The same for all names of a file, links too; of one that is not there, its path."""
    try:
        found = os.stat(0 if path == "-" else path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else os.path.realpath(path)
