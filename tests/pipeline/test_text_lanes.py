"""What lanes over a file cost, however many there are; files that grow, and files that do not say their size."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import trio

from recurrio.core import CharVocabulary
from recurrio.pipeline import SourceError, open_source
from recurrio.pipeline.lanes import TextStream, text_file
from recurrio.pipeline.sources import FileTransport, PipeTransport, pipe

LATIN = "abcdefghijklmnopqrstuvwxyz .,\n"
ALPHABETS = {"Latin": LATIN, "Chinese": "".join(map(chr, range(0x4E00, 0x5E00))) + LATIN}
SIZE = 1_100_000  # bytes, about


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the reads from files."""
    sizes, read = [], FileTransport.read

    def counted(self: FileTransport, place: int, size: int) -> object:
        chunk = read(self, place, size)
        sizes.append(len(chunk.data))
        return chunk

    monkeypatch.setattr(FileTransport, "read", counted)
    return sizes


def write_text(path: Path, alphabet: str) -> Path:
    letters = "".join(np.random.default_rng(0).choice(list(alphabet), SIZE // (1 + 2 * (alphabet[0] > "z"))))
    (path / "text").write_text(letters, encoding="utf-8")
    return path / "text"


@pytest.mark.parametrize("B", [32, 1024])
@pytest.mark.parametrize("alphabet", ALPHABETS)
async def test_a_lane_decodes_little_more_than_what_it_gives(
    alphabet: str, B: int, tmp_path: Path, reads: list[int]
) -> None:
    path, T = write_text(tmp_path, ALPHABETS[alphabet]), 64
    size, before = path.stat().st_size, 0
    async with open_source(path, batch_size=B, seq_len=T, epochs=2) as source:
        assert sum(reads) == size  # the first pass
        reads.clear()
        waits = []
        async for batch in source:
            waits.append(sum(reads) - before)
            before += waits[-1]
            assert batch.inputs.shape == (T, B)
    seeking = B * text_file.STRIDE
    ratio = size / source.symbols
    assert before < 2 * (1.1 * size + seeking)
    assert max(waits) < 1.2 * ratio * (max(text_file.BUFFER, B * T) + B) + seeking


@pytest.mark.parametrize("B", [1, 32, 1024, 8192])
async def test_the_memory_of_a_source_does_not_grow_with_its_lanes(B: int, tmp_path: Path) -> None:
    path = write_text(tmp_path, ALPHABETS["Chinese"])
    tracemalloc.start()
    try:
        async with open_source(path, batch_size=B, seq_len=16) as source:
            assert len([batch.size async for batch in source]) == source.batches_per_epoch  # type: ignore[attr-defined]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4.5e6 + 12 * max(text_file.BUFFER, B * 17) + 1500 * B  # docs/memory.md


async def test_waypoints_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "WAYPOINTS", 10)
    path = write_text(tmp_path, LATIN)
    async with FileTransport(os.open(path, os.O_RDONLY), "text") as file:
        found = await trio.to_thread.run_sync(text_file.survey, file, None)
    assert len(found.waypoints) == 10
    async with open_source(path, batch_size=7, seq_len=50) as source:
        first, *_ = [batch async for batch in source]
    text = path.read_text()
    for lane in range(7):
        part = text[lane * (len(text) // 7) :][:50]
        assert source.vocabulary.decode(first.inputs[:, lane]) == part


@pytest.mark.parametrize("vocabulary", ["chars", "bytes"])
@pytest.mark.parametrize("tail", [b"more", "漢".encode()[:2], b"\xff"])
async def test_what_is_written_behind_the_end_does_not_matter(vocabulary: str, tail: bytes, tmp_path: Path) -> None:
    path, text = tmp_path / "log", "line\n" * 100
    path.write_text(text)
    async with open_source(path, batch_size=2, seq_len=10, vocabulary=vocabulary, epochs=2) as source:
        expected = source.vocabulary.encode(text)
        with path.open("ab") as file:
            file.write(tail)
        batches = [batch async for batch in source]
    assert source.leftover == 500 - 24 * 20
    assert len(batches) == 48
    for epoch in range(2):
        lane = np.concatenate([batch.inputs[:, 1] for batch in batches[24 * epoch : 24 * epoch + 24]])
        np.testing.assert_array_equal(lane, expected[250:490])


async def test_an_end_that_cuts_a_character_in_two_is_no_fault_while_somebody_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"abc" * 100 + "漢".encode()[:2])
    with pytest.raises(SourceError, match="byte 0xe6 at offset 300"):
        async with open_source(path, batch_size=2, seq_len=10):
            pass
    monkeypatch.setattr(FileTransport, "__init__", write_on(path))
    async with open_source(path, batch_size=2, seq_len=10) as source:
        assert source.leftover == 20
        assert len([batch async for batch in source]) == 14


def write_on(path: Path) -> Callable[..., None]:
    """FileTransport's constructor; once it has seen the size of the file, the rest of the character is written."""
    make = FileTransport.__init__

    def opened(self: FileTransport, *arguments: object) -> None:
        make(self, *arguments)  # type: ignore[arg-type]
        with path.open("ab") as file:
            file.write("漢".encode()[2:])

    return opened


async def test_a_file_that_becomes_shorter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("line\n" * 1000)
    async with open_source(path, batch_size=2, seq_len=10) as source:
        os.truncate(path, 10)
        with pytest.raises(SourceError, match="log: the file has become shorter while it was read"):
            [batch async for batch in source]


@pytest.mark.parametrize("path", ["/proc/self/maps", "/proc/cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"])
@pytest.mark.parametrize("vocabulary", ["chars", "bytes"])
async def test_a_file_that_does_not_say_its_size_is_read_as_a_stream(path: str, vocabulary: str) -> None:
    try:
        content = await trio.Path(path).read_bytes()
    except OSError:
        pytest.skip("not in this kernel")
    async with open_source(path, batch_size=1, seq_len=10, vocabulary=vocabulary) as source:
        got = len([batch async for batch in source])
        assert abs(got * 10 + source.leftover - len(content)) < 2000  # /proc/self/maps changes
    with pytest.raises(SourceError, match="can be read only once, so it cannot be trained on for 2 epochs"):
        async with open_source(path, batch_size=1, seq_len=10, epochs=2):
            pass


async def test_a_pipe_cannot_begin_at_a_position() -> None:
    with pytest.raises(SourceError, match="standard input: can be read only once, so it cannot begin at a position"):
        async with open_source("-", batch_size=1, seq_len=10, position={"batch": 1}):
            pass


async def test_a_file_goes_on_at_a_position_though_it_has_grown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("line\n" * 100)
    async with open_source(path, batch_size=3, seq_len=10, epochs=2) as source:
        got = []
        async for batch in source:
            got.append(batch.inputs.tolist())
            if len(got) == 20:
                position = source.position
    with path.open("a") as file:
        file.write("more" * 100)
    vocabulary = source.vocabulary
    assert isinstance(vocabulary, CharVocabulary)
    async with open_source(
        path, batch_size=3, seq_len=10, epochs=2, vocabulary=vocabulary, position=position
    ) as source:
        assert [batch.inputs.tolist() async for batch in source] == got[20:]
    path.write_text("line\n")
    with pytest.raises(SourceError, match="shorter"):
        async with open_source(path, batch_size=3, seq_len=10, position=position):
            pass


async def test_a_stream_of_single_bytes_holds_one_batch() -> None:
    read, write = os.pipe()
    with mock.patch.object(pipe, "CHUNK", 1):
        async with PipeTransport(read, "pipe") as transport, trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, os.write, write, b"ab" * 10_000)
            tracemalloc.start()
            try:
                async with TextStream(transport, 64, 128, "bytes") as source, aclosing(aiter(source)) as batches:
                    await anext(batches)
                    assert source.position["batch"] == 1
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    os.close(write)
    assert peak < 3_000_000  # an array for each byte, but not a position


async def test_a_file_is_read_where_there_is_no_pread(text_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for _ in range(2):
        async with open_source(text_file, batch_size=3, seq_len=10) as source:
            seen.append([batch.inputs.tolist() async for batch in source])
        monkeypatch.delattr(os, "pread", raising=False)
    assert seen[0] == seen[1]
