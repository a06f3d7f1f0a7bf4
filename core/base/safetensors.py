"""State dicts as safetensors files, under torch's names, written so that a crash never leaves half a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import safetensors
import safetensors.numpy

from .parameters import Array

__all__ = ["WeightsError", "load_weights", "save_weights"]


class WeightsError(ValueError):
    """A file that is no readable safetensors file."""


def save_weights(
    path: str | os.PathLike[str], state_dict: dict[str, Array], metadata: dict[str, str] | None = None
) -> None:
    """Write `state_dict` and `metadata` to `path`, in place of what stood there.

    The file is written under a temporary name beside `path`, synced, and renamed. Raises OSError.
    """
    target = Path(path)
    content = safetensors.numpy.save(state_dict, metadata)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def load_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The state dict and the metadata of the safetensors file at `path`.

    Raises OSError where it cannot be read, WeightsError where it is no safetensors file.
    """
    with open(path, "rb"):  # a missing file or a folder is the operating system's own error
        pass
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 (no dict)
    except (safetensors.SafetensorError, TypeError, AttributeError) as error:  # the last two: no such NumPy dtype
        raise WeightsError(f"{os.fspath(path)}: not a safetensors file ({error})") from error
