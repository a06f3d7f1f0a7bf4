"""`open_source`: from an address to batches."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from ...core.base.checks import check_count
from ...core.text.text_model import TextModel
from ...core.text.vocabularies import CharVocabulary, TextVocabulary
from ..decoding import TextDecoder, check_encoding
from ..sources import FileTransport, Opening, Position, SourceError, Streams, open_transport
from ..sources.journal import Journals
from .source import Source
from .text_file import TextFile
from .text_stream import TextStream

__all__ = ["open_source", "read_vocabulary"]


@asynccontextmanager
async def open_source(
    name: str | os.PathLike[str],
    *,
    batch_size: int,
    seq_len: int,
    vocabulary: str | TextVocabulary = "chars",
    epochs: int | None = 1,
    encoding: str | None = None,
    position: Position | None = None,
    journals: Journals | None = None,
) -> AsyncIterator[Source]:
    """Open `name` as a source of batches of `batch_size` lanes B and `seq_len` steps T.

    `name` is the path of a file, or ``"-"`` for standard input. `vocabulary` is ``"chars"``, ``"bytes"`` or a
    vocabulary. `epochs` is how often a file is read, None for ever; a stream is read once. `encoding` is any text
    encoding of Python's, UTF-8 where it is None; bytes are taken as they are, and with it they have a meaning as
    text. `position` is that of another source opened alike, which this one goes on from; a stream has none to go back
    to, but with `journals`, to which what comes is written. `TextFile` and `TextStream` say how lanes lie over a file
    and over a stream, and `Source` what both have.

    Raises SourceError where there is nothing to train on, ValueError for nonsense arguments.
    """
    batch_size, seq_len = check_count("batch_size", batch_size), check_count("seq_len", seq_len)
    epochs = None if epochs is None else check_count("epochs", epochs)
    if isinstance(vocabulary, str) and vocabulary not in ("chars", "bytes"):
        raise ValueError(f"vocabulary: expected 'chars', 'bytes' or a vocabulary, got {vocabulary!r}")
    if encoding is not None:
        check_encoding(encoding)
    if vocabulary == "chars" and position is not None and "characters" in position:
        vocabulary = CharVocabulary(str(position["characters"]))
    journal = None if journals is None else journals.of(0)
    opening = Opening(os.fspath(name), position, journal=journal, only_journal=journals is not None and journals.only)
    async with open_transport(opening) as transport:
        if transport.streams != Streams.ONE:
            raise SourceError(f"{transport.name}: brings records; a text comes from a file or a pipe")
        if isinstance(transport, FileTransport):
            async with TextFile(
                transport, batch_size, seq_len, vocabulary, epochs, encoding=encoding, position=position
            ) as file:
                yield file
            return
        if epochs is not None and epochs > 1:
            raise SourceError(
                f"{transport.name}: can be read only once, so it cannot be trained on for {epochs} epochs"
            )
        async with TextStream(
            transport, batch_size, seq_len, vocabulary, encoding=encoding, position=position
        ) as stream:
            yield stream


async def read_vocabulary(path: str | os.PathLike[str], encoding: str | None = None) -> TextVocabulary:
    """The vocabulary in the file `path`: of the model if it ends in ``.safetensors``, else the characters of the text.

    Raises OSError, WeightsError, SourceError.
    """
    name = os.fspath(path)
    if name.endswith(".safetensors"):
        return (await trio.to_thread.run_sync(TextModel.load, name)).vocabulary
    decoder, characters = TextDecoder(encoding or "utf-8"), set[str]()
    async with open_transport(name) as transport:
        with suppress(trio.EndOfChannel):
            while True:
                characters |= set(decoder.feed(await transport.receive()))
    characters |= set(decoder.finish())
    if not characters:
        raise SourceError(f"{name}: has no characters to make a vocabulary of")
    return CharVocabulary(characters)
