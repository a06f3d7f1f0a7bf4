"""What every transport and every source of batches promises: one list of each, and each goes through every check."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import trio

from recurrio.core import CharVocabulary, SequenceBatch
from recurrio.pipeline import SourceError
from recurrio.pipeline.lanes import Source, TextFile, TextStream, text_file
from recurrio.pipeline.sources import Chunk, FileTransport, PipeTransport, Position, Transport, file, pipe

TEXT = "".join(np.random.default_rng(0).choice(list("abc déf\ng漢字🙂"), 300))
DATA = TEXT.encode()
CUTS = (1, 2, 7, 256, 10_000)


class ListTransport:
    """`data`, `size` bytes a chunk: the fake, which can be opened anywhere."""

    name, rewindable = "the list", True

    def __init__(self, data: bytes, size: int, position: Position | None = None) -> None:
        self._data, self._size = data, size
        self._place = int((position or {}).get("byte", 0))

    @property
    def position(self) -> Position:
        return {"byte": self._place}

    async def receive(self) -> Chunk:
        await trio.lowlevel.checkpoint()
        if self._place == len(self._data):
            raise trio.EndOfChannel
        data = self._data[self._place : self._place + self._size]
        self._place += len(data)
        return Chunk(data, self.name, self.position)

    async def aclose(self) -> None:
        pass


Opened = AbstractAsyncContextManager[Transport]


@asynccontextmanager
async def open_list(folder: Path, data: bytes, size: int, position: Position | None = None) -> AsyncIterator[Transport]:
    yield ListTransport(data, size, position)


@asynccontextmanager
async def open_pipe(folder: Path, data: bytes, size: int, position: Position | None = None) -> AsyncIterator[Transport]:
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    with mock.patch.object(pipe, "CHUNK", size):
        async with PipeTransport(read, "the pipe") as transport:
            yield transport


@asynccontextmanager
async def open_file(folder: Path, data: bytes, size: int, position: Position | None = None) -> AsyncIterator[Transport]:
    path = folder / "text"
    path.write_bytes(data)
    with mock.patch.object(file, "CHUNK", size), mock.patch.object(text_file, "STRIDE", size):
        async with FileTransport(os.open(path, os.O_RDONLY), "the file", position) as transport:
            yield transport


TRANSPORTS: dict[str, Callable[..., Opened]] = {"list": open_list, "pipe": open_pipe, "file": open_file}


async def drain(transport: Transport) -> list[Chunk]:
    chunks = []
    try:
        while True:
            chunks.append(await transport.receive())
    except trio.EndOfChannel:
        return chunks


@pytest.mark.parametrize("name", TRANSPORTS)
@pytest.mark.parametrize("size", CUTS)
async def test_a_transport_brings_all_bytes_and_says_where_it_is(name: str, size: int, tmp_path: Path) -> None:
    async with TRANSPORTS[name](tmp_path, DATA, size) as transport:
        begin = transport.position
        chunks = await drain(transport)
        assert b"".join(chunk.data for chunk in chunks) == DATA
        assert all(chunk.data for chunk in chunks)
        assert {chunk.origin for chunk in chunks} == {transport.name}
        assert transport.position == chunks[-1].after != begin
        assert json.loads(json.dumps([dict(chunk.after) for chunk in chunks])) == [chunk.after for chunk in chunks]
        with pytest.raises(trio.EndOfChannel):
            await transport.receive()
        await transport.aclose()
        await transport.aclose()


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_transport_that_can_be_rewound_goes_on_at_any_position(name: str, tmp_path: Path) -> None:
    async with TRANSPORTS[name](tmp_path, DATA, 7) as transport:
        begin = transport.position
        chunks = await drain(transport)
        if not transport.rewindable:
            return
    for number, position in enumerate([begin, *(chunk.after for chunk in chunks)]):
        async with TRANSPORTS[name](tmp_path, DATA, 7, position) as transport:
            rest = b"".join(chunk.data for chunk in await drain(transport))
        assert rest == b"".join(chunk.data for chunk in chunks[number:])


@pytest.mark.parametrize("name", TRANSPORTS)
async def test_a_wait_for_a_transport_that_is_cancelled_loses_nothing(name: str, tmp_path: Path) -> None:
    data, ended = b"", False
    async with TRANSPORTS[name](tmp_path, DATA, 50) as transport:
        while not ended:
            with trio.CancelScope() as scope:
                scope.cancel()
                data += (await transport.receive()).data
            try:
                data += (await transport.receive()).data
            except trio.EndOfChannel:
                ended = True
    assert data == DATA


# Sources: text in, batches out.

Make = Callable[..., TextFile | TextStream]


def over_file(transport: Transport, *arguments: object, **options: object) -> TextFile:
    return TextFile(transport, *arguments, **options)  # type: ignore[arg-type]


def over_stream(transport: Transport, *arguments: object, **options: object) -> TextStream:
    return TextStream(transport, *arguments, **options)  # type: ignore[arg-type]


SOURCES: dict[str, tuple[Callable[..., Opened], Make]] = {
    "lanes over a file": (open_file, over_file),
    "lanes over a stream from a file": (open_file, over_stream),
    "lanes over a stream from a pipe": (open_pipe, over_stream),
    "lanes over a stream from a list": (open_list, over_stream),
}
VOCABULARIES = {"chars": ("chars", None), "bytes": ("bytes", None), "UTF-16": ("chars", "utf-16")}
BROKEN = b"abc" * 50 + b"\xff" + b"abc"
GIVEN = CharVocabulary("abc déf\ng漢")  # not all


@asynccontextmanager
async def open_member(
    name: str,
    folder: Path,
    data: bytes,
    size: int,
    vocabulary: object = "chars",
    encoding: str | None = None,
    position: Position | None = None,
    sizes: tuple[int, int] = (3, 8),
) -> AsyncIterator[Source]:
    open_, make = SOURCES[name]
    async with (
        open_(folder, data, size, position) as transport,
        make(transport, *sizes, vocabulary, encoding=encoding, position=position) as source,
    ):
        yield source


def described(batch: SequenceBatch) -> tuple[list[list[int]], list[list[int]], object]:
    assert batch.inputs.dtype == batch.targets.dtype == np.int32
    assert batch.inputs.shape == batch.targets.shape == (8, 3)
    return batch.inputs.tolist(), batch.targets.tolist(), batch.reset


@pytest.mark.parametrize("kind", VOCABULARIES)
@pytest.mark.parametrize("name", SOURCES)
async def test_batches_do_not_depend_on_how_the_bytes_were_cut(name: str, kind: str, tmp_path: Path) -> None:
    vocabulary, encoding = VOCABULARIES[kind]
    data, seen = TEXT.encode(encoding or "utf-8"), []
    for size in CUTS:
        async with open_member(name, tmp_path, data, size, vocabulary, encoding) as source:
            got = [described(batch) async for batch in source]
            symbols = data if kind == "bytes" else TEXT
            assert len(got) == (len(symbols) // 3 - 1) // 8 if name == "lanes over a file" else (len(symbols) - 1) // 24
            assert source.leftover == len(symbols) - len(got) * 24
            assert [reset for *_, reset in got] == [True] + [False] * (len(got) - 1)
            seen.append((got, source.position["batch"], getattr(source.vocabulary, "characters", "")))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("kind", VOCABULARIES)
@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_goes_on_at_the_position_behind_each_batch(
    name: str, size: int, kind: str, tmp_path: Path
) -> None:
    vocabulary, encoding = VOCABULARIES[kind]
    data, positions, got = TEXT.encode(encoding or "utf-8"), [], []
    async with open_member(name, tmp_path, data, size, vocabulary, encoding) as source:
        positions.append(source.position)
        async for batch in source:
            got.append(described(batch))
            positions.append(source.position)
    if "pipe" in name:
        return  # it can be read only once; its positions are those of the stream from a list
    for number, position in enumerate(positions):
        stored = json.loads(json.dumps(dict(position)))
        async with open_member(name, tmp_path, data, size, source.vocabulary, encoding, stored) as again:
            assert again.position["batch"] == number
            assert [described(batch) async for batch in again] == got[number:]
            if "over a stream" in name:
                assert again.leftover == source.leftover


@pytest.mark.parametrize("name", [name for name in SOURCES if "a stream" in name and "pipe" not in name])
async def test_a_stream_that_goes_on_learns_its_vocabulary_behind_the_position(name: str, tmp_path: Path) -> None:
    data = b"x" * 30 + "é".encode() * 5 + b"y" * 100
    async with open_member(name, tmp_path, data, 7) as source, aclosing(aiter(source)) as batches:
        await anext(batches)
        async with open_member(name, tmp_path, data, 7, position=source.position) as again:
            assert [source.vocabulary.encode("é")[0], again.vocabulary.encode("é")[0]] == [0, 98]


@pytest.mark.parametrize("name", SOURCES)
async def test_unknown_symbols_are_counted(name: str, tmp_path: Path) -> None:
    async with open_member(name, tmp_path, DATA, 50, GIVEN) as source:
        unknown = 0
        assert source.unknown == 0
        async for batch in source:
            unknown += int((batch.inputs == 0).sum())
            assert source.unknown == unknown
        assert unknown > 30
    async with open_member(name, tmp_path, DATA, 50, "bytes") as source:
        assert [source.unknown async for _ in source][-1] == 0


@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_whose_iteration_is_cancelled_loses_nothing(name: str, tmp_path: Path) -> None:
    async with open_member(name, tmp_path, DATA, 20) as source:
        whole = [described(batch) async for batch in source]
    async with open_member(name, tmp_path, DATA, 20) as source:
        with trio.CancelScope() as scope:
            scope.cancel()
            async with aclosing(aiter(source)) as batches:
                async for _ in batches:
                    await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        rest = [described(batch) async for batch in source]
    assert rest == whole[len(whole) - len(rest) :]
    assert len(rest) >= len(whole) - 1


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize(
    ("content", "message"), [(BROKEN, "byte 0xff at offset 150 is not UTF-8"), (b"a", "one batch")]
)
@pytest.mark.parametrize("name", SOURCES)
async def test_an_error_names_the_source_and_what_is_wrong(
    name: str, content: bytes, message: str, size: int, tmp_path: Path
) -> None:
    got = 0
    with pytest.raises(SourceError, match=f"^the (list|pipe|file): .*{message}"):  # noqa: PT012 (or before the first)
        async with open_member(name, tmp_path, content, size) as source:
            async for _ in source:
                got += 1
    if "a stream" in name and content == BROKEN:
        assert got == 149 // 24  # what stands before the fault was given
