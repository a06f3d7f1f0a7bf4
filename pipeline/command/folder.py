"""The folder of a run: where the command puts a model, and what it does not put it over."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from ..checkpoint import CheckpointStore

__all__ = ["RunFolder", "journals_path", "model_path", "states_path"]

LOCK = ".lock"


def model_path(folder: str | os.PathLike[str]) -> Path:
    """Where the weights of a run stand in its folder."""
    return Path(folder) / "model.safetensors"


def states_path(folder: str | os.PathLike[str]) -> Path:
    """Where the checkpoints of a run stand in its folder."""
    return Path(folder) / "checkpoints"


def journals_path(folder: str | os.PathLike[str]) -> Path:
    """Where the journals of a run stand in its folder."""
    return Path(folder) / "journal"


class RunFolder:
    """The folder `named`, made where it is not there; or of run, run-2, run-3, … the first that is not there.

    It is tried that a file can be written there, before an hour of training rather than after it. A folder that has a
    run in it is taken only with `overwrite`, or to go on with it (`resume`), and one that another run is going on in
    is not. Raises OSError.
    """

    def __init__(self, named: str | None, *, overwrite: bool = False, resume: bool = False) -> None:
        self._made = named is None or not os.path.lexists(named)
        if named is not None:
            self.path = Path(named)
            if not self._made and not self.path.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, "is there, and no folder", named)
            if model_path(named).is_dir():
                raise IsADirectoryError(errno.EISDIR, "has a folder where the model goes", named)
            begun = os.path.lexists(model_path(named)) or CheckpointStore(states_path(named)).steps()
            if begun and not (overwrite or resume):
                what = "has a run in it, which --overwrite would replace, and --resume go on with"
                raise FileExistsError(errno.EEXIST, what, named)
            os.makedirs(named, exist_ok=True)
        else:
            self.path = _first_free()
        self._lock = _claim(self.path)
        with tempfile.TemporaryFile(dir=self.path):
            pass

    @property
    def model(self) -> Path:
        """Where the weights go."""
        return model_path(self.path)

    @property
    def states(self) -> Path:
        """Where the checkpoints go."""
        return states_path(self.path)

    @property
    def history(self) -> Path:
        """Where the curves go."""
        return self.path / "history.safetensors"

    @property
    def journals(self) -> Path:
        """Where the journals go."""
        return journals_path(self.path)

    def leave(self) -> None:
        """Remove the folder where it was made here and nothing is in it: no run took place."""
        with suppress(OSError):
            if self._made and os.listdir(self.path) == [LOCK]:
                (self.path / LOCK).unlink()
                self.path.rmdir()
        self._lock.release()


def _claim(folder: Path) -> FileLock:
    """The lock of `folder`, which one run has at a time; the kernel gives it back when its process ends.

    Raises OSError, which names who has it.
    """
    lock, path = FileLock(folder / LOCK, mode=0o600), folder / LOCK
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = ""
        with suppress(OSError, UnicodeDecodeError):
            holder = path.read_text(encoding="utf-8").strip()
        what = f"another run is going on there ({holder or 'which does not say who it is'})"
        raise BlockingIOError(errno.EWOULDBLOCK, what, str(folder)) from None
    about = f"process {os.getpid()} on {socket.gethostname()}, since {datetime.now():%Y-%m-%d %H:%M:%S}\n"
    path.write_text(about, encoding="utf-8")
    return lock


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
