"""A folder of checkpoints: the newest whole one wins, and the last few stay."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...core.base.checks import check_count
from ...core.base.state import Part
from .file import CheckpointError, read_checkpoint, write_checkpoint

__all__ = ["CheckpointStore", "Found"]

NAME = re.compile(r"step-([0-9]{9,})\.safetensors")
# What each says of its run.
PARTS = ("step", "tokens", "settings", "outputs", "reports", "fingerprint", "model", "training", "source")
TEMPORARY = re.compile(r"\.step-[0-9]{9,}\.safetensors\.[0-9a-f]{8}")


class Found(NamedTuple):
    """A whole checkpoint, and why newer ones were passed over, each in a line that names its file."""

    path: Path
    step: int
    part: Part
    rejected: list[str]


class CheckpointStore:
    """The checkpoints in `folder`, of which the last `keep` stay. Nothing is read or written through a link.

    Raises ArgumentError; its methods raise OSError.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 3) -> None:
        self.folder, self.keep = Path(folder), check_count("keep", keep)
        self.begins = False  # a new run: with the first one that is written all others go

    def path(self, step: int) -> Path:
        """Where the checkpoint after `step` batches stands."""
        return self.folder / f"step-{step:09}.safetensors"

    def steps(self) -> list[int]:
        """Those that there seem to be, the oldest first."""
        if not self.folder.is_dir() or self.folder.is_symlink():
            return []
        names = [NAME.fullmatch(name) for name in os.listdir(self.folder)]
        return sorted(int(name[1]) for name in names if name is not None)

    def write(self, step: int, part: Part) -> Path:
        """Write a checkpoint, and then let the oldest go."""
        self._make_folder()
        write_checkpoint(self.path(step), part)
        others = [other for other in self.steps() if other != step]
        going, self.begins = others if self.begins else others[: max(0, len(others) + 1 - self.keep)], False
        for old in going:
            with suppress(OSError):  # it will be tried again with the next one
                self.path(old).unlink()
        return self.path(step)

    def newest(self, most: int | None = None) -> Found | None:
        """The newest whole one, of those up to `most` steps; None where there is none."""
        rejected: list[str] = []
        for step in reversed(self.steps()):
            if most is None or step <= most:
                path = self.path(step)
                try:
                    part = read_checkpoint(path)
                    if missing := [name for name in PARTS if name not in part.about]:
                        raise CheckpointError(f"{path}: says nothing of {', '.join(missing)}")
                    return Found(path, check_count("step", part.about.get("step"), 0), part, rejected)
                except OSError as error:
                    rejected.append(f"{path}: {error.strerror}")
                except (CheckpointError, ValueError) as error:
                    rejected.append(str(error))
        if rejected:
            raise CheckpointError("no whole checkpoint: " + "; ".join(rejected))
        return None

    def forget(self, after: int) -> None:
        """Remove those after more than `after` steps."""
        for step in self.steps():
            if step > after:
                self.path(step).unlink()

    def tidy(self) -> None:
        """Remove what a process has left behind that was killed while it wrote one."""
        if self.folder.is_dir() and not self.folder.is_symlink():
            for name in os.listdir(self.folder):
                if TEMPORARY.fullmatch(name):
                    (self.folder / name).unlink(missing_ok=True)

    def _make_folder(self) -> None:
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700, parents=True)
        if self.folder.is_symlink() or not self.folder.is_dir():
            raise NotADirectoryError(20, "is no folder of its own, but a link or a file", str(self.folder))
