"""Recordings: a WAV file, those in a folder, or in a table, with what is said in them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ...core.base.parameters import Array
from ..sources.source import SourceError
from .block import Reject
from .table import read_table
from .values import Malformed
from .wav import open_soundfile, read_wav

__all__ = ["Recordings", "read_recordings"]

SUFFIX = ".wav"


class Recordings(NamedTuple):
    """The `samples` ``(N,)`` float32 in −1…1 of each recording, `rate` a second, and its text: in order.

    `names` are those of the files. `texts` are empty where none were asked for. In `rejects` is what cannot be used:
    each came before the recording that its ``before`` is the index of.
    """

    samples: list[Array]
    texts: list[str]
    names: list[str]
    rate: int
    rejects: list[Reject]


def read_recordings(path: str | os.PathLike[str], rate: int | None = None, *, texts: bool = True) -> Recordings:
    """The recordings at `path`, all of one channel and of one `rate`: that of the first where it is not given.

    That is a file whose name ends with ``.wav``, or in a folder all of those, in the order of their names:
    ``LABEL_….wav``, with what is said in front of the first underscore. In a table, TSV or CSV, a row has the ``path``
    of a file, from the folder of the table on, and the ``text``. Without `texts` any names do, and no text is read.

    Raises OSError, and SourceError where there is nothing to be read, or soundfile is not there.
    """
    open_soundfile()
    found = Recordings([], [], [], 0, [])
    for number, (file, text) in _listed(Path(path), found, texts=texts):
        try:
            samples, own = _read(file, text)
            rate = rate or own
            if own != rate:
                raise Malformed(f"expected {rate:,} samples a second, got {own:,}")
        except Malformed as reason:
            found.rejects.append(Reject(len(found.samples), str(file), number, str(reason), b""))
            continue
        found.samples.append(samples)
        found.texts.append(text or "")
        found.names.append(str(file))
    return found._replace(rate=rate or 0)


def _read(file: Path, text: str | None) -> tuple[Array, int]:
    """The samples of a file, and their rate. Raises Malformed."""
    if text is None:
        raise Malformed("no label: expected LABEL_….wav")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise Malformed(str(error.strerror)) from None
    return read_wav(data)


def _listed(path: Path, found: Recordings, *, texts: bool) -> Iterator[tuple[int, tuple[Path, str | None]]]:
    """The files, each with its number, or its line, and its text; what else is in a table is among the rejects."""
    if path.is_dir() or path.name.lower().endswith(SUFFIX):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        files = [file for file in files if file.name.lower().endswith(SUFFIX)]
        if not files:
            raise SourceError(f"{path}: no file in this folder has a name that ends with {SUFFIX}")
        for number, file in enumerate(files, 1):
            label, mark, _ = file.name.partition("_")
            yield number, (file, "" if not texts else label if label and mark else None)
        return
    table = read_table(path, ("path", "text") if texts else ("path",))
    rejects = iter(table.rejects)
    following = next(rejects, None)
    for index, (row, line) in enumerate(zip(table.rows, table.lines, strict=True)):
        while following is not None and following.before <= index:
            found.rejects.append(following._replace(before=len(found.samples)))
            following = next(rejects, None)
        yield line, (path.parent / row[0], row[1] if texts else "")
    if following is not None:
        found.rejects.extend(reject._replace(before=len(found.samples)) for reject in (following, *rejects))
