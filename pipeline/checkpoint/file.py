"""The file of a checkpoint: a safetensors file, whose metadata has the rest as JSON, and a digest of all of it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import stat
from typing import Any

import numpy as np

from ...core.base.files import replace_file
from ...core.base.parameters import Array
from ...core.base.safetensors import DTYPES, content_of
from ...core.base.state import Part

__all__ = ["FORMAT", "CheckpointError", "read_checkpoint", "write_checkpoint"]

FORMAT = "recurrio-checkpoint-1"
EMPTY = "0" * 64
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
LONGEST = 100 << 20  # bytes of a header; safetensors has the same bound
NUMPY = {name: np.dtype(dtype) for dtype, name in DTYPES.items()}


class CheckpointError(Exception):
    """A file that is no whole checkpoint, or one that does not belong to this run. Its message names the file."""


def write_checkpoint(path: str | os.PathLike[str], part: Part) -> None:
    """Write `part` to `path`, for its owner alone, in place of what stood there. Raises OSError.

    The digest in the header is the SHA-256 of the whole file, with zeros where it stands itself.
    """
    metadata = {"format": FORMAT, "about": json.dumps(part.about, allow_nan=False), "sha256": EMPTY}
    pieces = list(content_of(part.arrays, metadata))
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    header = bytes(pieces[1])
    pieces[1] = header.replace(f'"sha256":"{EMPTY}"'.encode(), f'"sha256":"{digest.hexdigest()}"'.encode(), 1)
    replace_file(path, pieces, private=True)


def read_checkpoint(path: str | os.PathLike[str]) -> Part:
    """What `write_checkpoint` wrote to `path`; a link is not followed. Raises OSError, CheckpointError."""
    name = os.fspath(path)
    try:
        data = _read(name)
        about, arrays = _parse(data)
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        raise CheckpointError(f"{name}: {error or type(error).__name__}") from None
    return Part(arrays, about)


def _read(name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("no regular file")
        if found.st_size > _memory() // 4:
            raise ValueError(f"{found.st_size} bytes are too many for this machine")
        return file.read(found.st_size)


def _memory() -> int:
    """How many bytes this machine has, if it says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def _parse(data: bytes) -> tuple[dict[str, Any], dict[str, Array]]:
    """What is in the bytes of a file. Raises ValueError, and nothing of them is believed before the digest is."""
    if len(data) < 8:
        raise ValueError("it is cut short")
    length = int.from_bytes(data[:8], "little")
    if length > min(LONGEST, len(data) - 8):
        raise ValueError("it is cut short, or no checkpoint")
    header, body = data[8 : 8 + length], memoryview(data)[8 + length :]
    found = DIGEST.search(header)
    if found is None:
        raise ValueError("no checkpoint: there is no digest in it")
    digest = hashlib.sha256(data[:8])
    digest.update(header[: found.start(1)] + EMPTY.encode() + header[found.end(1) :])
    digest.update(body)
    if digest.hexdigest().encode() != found[1]:
        raise ValueError("damaged: it is not what was written")
    entries = json.loads(header)
    metadata = entries.pop("__metadata__", None) if isinstance(entries, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise ValueError(f"no checkpoint of the format {FORMAT}")
    about = json.loads(str(metadata.get("about")))
    if not isinstance(about, dict):
        raise ValueError("no checkpoint: it says nothing of itself")
    return about, _arrays(entries, body)


def _arrays(entries: dict[str, Any], body: memoryview) -> dict[str, Array]:
    """The arrays of the `entries`, which lie one behind the other and fill the `body`. Raises ValueError."""
    found: dict[str, Array] = {}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: _offsets(*item)):
        kind, shape = entry.get("dtype"), entry.get("shape")
        dtype = NUMPY.get(kind) if isinstance(kind, str) else None
        if dtype is None or not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"{name}: no array of a known kind")
        begin, stop = _offsets(name, entry)
        if begin != end or stop - begin != math.prod(shape) * dtype.itemsize or stop > len(body):
            raise ValueError(f"{name}: its bytes are not where they should be")
        found[name] = np.frombuffer(body[begin:stop], dtype).reshape(shape).copy()
        end = stop
    if end != len(body):
        raise ValueError("there are bytes that belong to nothing")
    return found


def _offsets(name: str, entry: Any) -> tuple[int, int]:  # noqa: ANN401 (anything may stand there)
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(place) is int for place in offsets)):
        raise ValueError(f"{name}: no array")
    return offsets[0], offsets[1]
