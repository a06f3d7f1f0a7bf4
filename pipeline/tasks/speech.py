"""The recordings that a task is about: a folder of WAV files, or a table of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any

import trio

from ...core.audio.transcriber import Transcriber
from ..decoding.block import Reject
from ..decoding.recordings import Recordings, read_recordings
from ..decoding.table import Column, Table

__all__ = ["ask_recordings", "read_speech"]


async def read_speech(source: str, columns: Sequence[Column], form: str | None) -> tuple[Recordings, list[Reject]]:
    """The recordings at `source`, and what cannot be used; see `read_recordings`. Raises OSError, SourceError."""
    found = await trio.to_thread.run_sync(read_recordings, source, abandon_on_cancel=True)
    return found, found.rejects


async def ask_recordings(
    kept: Transcriber, source: str, columns: Sequence[Column], form: str | None
) -> AsyncGenerator[Table, None]:
    """Those that the model `kept` is asked about, of its own rate: whatever their names are."""
    read = partial(read_recordings, source, kept.rate, texts=False)
    found = await trio.to_thread.run_sync(read, abandon_on_cancel=True)
    rows: list[tuple[Any, ...]] = [(samples,) for samples in found.samples]
    yield Table(rows, [*range(1, len(rows) + 1)], found.rejects)
