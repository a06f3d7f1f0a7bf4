"""`open_source`: from a name to a source."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from ...core.base.checks import check_count
from ...core.text.vocabulary import Vocabulary
from ..decoding.errors import SourceError
from .file import TextFile
from .stream import TextStream

__all__ = ["Source", "open_source"]

Source = TextFile | TextStream
STANDARD_INPUT = 0


@asynccontextmanager
async def open_source(
    name: str | os.PathLike[str],
    *,
    batch_size: int,
    seq_len: int,
    vocabulary: str | Vocabulary = "chars",
    epochs: int | None = 1,
) -> AsyncIterator[Source]:
    """Open `name` as a source of batches of `batch_size` lanes B and `seq_len` steps T.

    `name` is the path of a file, or ``"-"`` for standard input. `vocabulary` is ``"chars"``, ``"bytes"`` or a
    vocabulary. `epochs` is how often a file is read, None for ever; a stream is read once. `TextFile` and
    `TextStream` say how lanes lie over a file and over a stream.

    Raises SourceError where there is nothing to train on, ValueError for nonsense arguments.
    """
    batch_size, seq_len = check_count("batch_size", batch_size), check_count("seq_len", seq_len)
    epochs = None if epochs is None else check_count("epochs", epochs)
    if isinstance(vocabulary, str) and vocabulary not in ("chars", "bytes"):
        raise ValueError(f"vocabulary: expected 'chars', 'bytes' or a vocabulary, got {vocabulary!r}")
    path = os.fspath(name)
    if path == "-":
        path, fd = "standard input", STANDARD_INPUT
    else:
        try:
            regular = stat.S_ISREG(os.stat(path).st_mode)
            # Opening a named pipe waits for its writer.
            fd = await trio.to_thread.run_sync(os.open, path, os.O_RDONLY, abandon_on_cancel=not regular)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None
        if regular:
            try:
                if not hasattr(os, "pread"):
                    raise SourceError(f"{path}: this system has no pread to read files with; pipe it to standard input")
                async with TextFile(fd, path, batch_size, seq_len, vocabulary, epochs) as file:
                    yield file
            finally:
                os.close(fd)
            return
    try:
        if epochs is not None and epochs > 1:
            raise SourceError(f"{path}: can be read only once, so it cannot be trained on for {epochs} epochs")
        async with TextStream(fd, path, batch_size, seq_len, vocabulary) as stream:
            yield stream
    finally:
        if fd != STANDARD_INPUT:
            os.close(fd)
