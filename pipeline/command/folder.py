"""The folder of a run: where the command puts a model, and what it does not put it over."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from itertools import count
from pathlib import Path

__all__ = ["RunFolder", "model_path"]


def model_path(folder: str | os.PathLike[str]) -> Path:
    """Where the weights of a run stand in its folder."""
    return Path(folder) / "model.safetensors"


class RunFolder:
    """The folder `named`, made where it is not there; or of run, run-2, run-3, … the first that is not there.

    It is tried that a file can be written there, before an hour of training rather than after it. A folder that has a
    run in it is taken only with `overwrite`, and one that another run is going on in is not. Raises OSError.
    """

    def __init__(self, named: str | None, *, overwrite: bool = False) -> None:
        self._made = named is None or not os.path.lexists(named)
        if named is not None:
            self.path = Path(named)
            if not self._made and not self.path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "is there, and no folder", named)
            if model_path(named).is_dir():
                raise IsADirectoryError(errno.EISDIR, "has a folder where the model goes", named)
            if not overwrite and os.path.lexists(model_path(named)):
                raise FileExistsError(errno.EEXIST, "has a run in it, which --overwrite would replace", named)
            os.makedirs(named, exist_ok=True)
        else:
            self.path = _first_free()
        self._claim = _claim(self.path)
        with tempfile.TemporaryFile(dir=self.path):
            pass

    @property
    def model(self) -> Path:
        """Where the weights go."""
        return model_path(self.path)

    def leave(self) -> None:
        """Remove the folder where it was made here and nothing is in it: no run took place."""
        if self._made:
            with suppress(OSError):
                self.path.rmdir()
        if self._claim is not None:
            os.close(self._claim)


def _claim(folder: Path) -> int | None:
    """A descriptor of `folder` that no other run has at the same time; the kernel gives it back when the process ends.

    None where the system has no such lock. Raises OSError where another run has it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return None  # a file system without locks
        raise BlockingIOError(error.errno, "another run is writing its model there", str(folder)) from None
    return descriptor


def _first_free() -> Path:
    """To make a folder is to claim it: of two runs that begin at once, each gets its own."""
    for number in count(1):
        path = Path("run" if number == 1 else f"run-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise AssertionError
