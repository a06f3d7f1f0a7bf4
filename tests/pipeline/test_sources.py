"""How lanes lie over files and streams, what a slow pipe does, and what is refused."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from recurrio.core import CharVocabulary, SequenceBatch
from recurrio.pipeline import SourceError, open_source
from recurrio.pipeline.lanes import TextStream, text_file
from recurrio.pipeline.sources import PipeTransport

ALPHABET = "abc déf\ng漢字🙂"


def make_text(length: int) -> str:
    return "".join(np.random.default_rng(0).choice(list(ALPHABET), length))


def expected_file_batches(tokens: np.ndarray, B: int, T: int, epochs: int) -> list[SequenceBatch]:
    part = len(tokens) // B
    lanes = [tokens[b * part : (b + 1) * part] for b in range(B)]
    starts = range(0, (part - 1) // T * T, T)
    return [
        SequenceBatch(
            np.stack([lane[start : start + T] for lane in lanes], axis=1),
            np.stack([lane[start + 1 : start + T + 1] for lane in lanes], axis=1),
            reset=start == 0,
        )
        for _ in range(epochs)
        for start in starts
    ]


def assert_same(got: list[SequenceBatch], expected: list[SequenceBatch]) -> None:
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one.inputs, other.inputs)
        np.testing.assert_array_equal(one.targets, other.targets)
        assert one.reset == other.reset


@pytest.mark.parametrize("vocabulary", ["chars", "bytes"])
@pytest.mark.parametrize(("B", "T"), [(1, 7), (3, 16), (5, 1), (4, 200)])
async def test_lanes_of_a_file_are_contiguous_parts(
    B: int, T: int, vocabulary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "STRIDE", 257)  # so that pieces end in the middle of characters
    monkeypatch.setattr(text_file, "REFILL", 61)
    text = make_text(3001)
    path = tmp_path / "text"
    path.write_text(text, encoding="utf-8")
    async with open_source(path, batch_size=B, seq_len=T, vocabulary=vocabulary, epochs=2) as source:
        got = [batch async for batch in source]
        tokens = source.vocabulary.encode(text)
        if vocabulary == "chars":
            assert source.vocabulary.decode(tokens) == text
        assert_same(got, expected_file_batches(tokens, B, T, epochs=2))
        assert source.leftover == len(tokens) - len(got) // 2 * B * T


async def test_a_given_vocabulary_is_used(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("abcabdabcabd" * 9)
    async with open_source(path, batch_size=2, seq_len=4, vocabulary=CharVocabulary("abd")) as source:
        tokens = np.concatenate([batch.inputs[:, 0] async for batch in source])
        assert source.vocabulary.decode(tokens[:6].tolist()) == "ab\ufffdabd"


@asynccontextmanager
async def open_pipe(B: int, T: int, vocabulary: str = "chars") -> AsyncIterator[tuple[TextStream, int]]:
    read, write = os.pipe()
    async with PipeTransport(read, "the pipe") as transport:
        yield TextStream(transport, B, T, vocabulary), write


@pytest.mark.parametrize("vocabulary", ["chars", "bytes"])
@pytest.mark.parametrize(("B", "T"), [(1, 7), (3, 16)])
async def test_lanes_of_a_stream_take_successive_blocks(B: int, T: int, vocabulary: str) -> None:
    text = make_text(500)
    async with open_pipe(B, T, vocabulary) as (stream, write), trio.open_nursery() as nursery:

        async def feed() -> None:
            data = text.encode("utf-8")
            for start in range(0, len(data), 11):
                os.write(write, data[start : start + 11])
                await trio.lowlevel.checkpoint()
            os.close(write)

        nursery.start_soon(feed)
        async with stream as source:
            got = [batch async for batch in source]
            tokens = source.vocabulary.encode(text)
    count = (len(tokens) - 1) // (B * T)
    assert len(got) == count
    for number, batch in enumerate(got):
        start = number * B * T
        np.testing.assert_array_equal(batch.inputs, tokens[start : start + B * T].reshape(B, T).T)
        np.testing.assert_array_equal(batch.targets, tokens[start + 1 : start + B * T + 1].reshape(B, T).T)
        assert batch.reset == (number == 0)
    assert stream.leftover == len(tokens) - count * B * T


async def test_a_slow_stream_gives_each_batch_as_soon_as_it_is_there() -> None:
    async with open_pipe(2, 4) as (stream, write):
        os.write(write, b"abcdefgh")
        with trio.move_on_after(0.05) as scope:
            await stream.__aenter__()
        assert scope.cancelled_caught  # one symbol is missing

    async with open_pipe(2, 4) as (stream, write):
        os.write(write, b"abcdefghi")
        async with stream as source:
            batches = aiter(source)
            assert source.vocabulary.decode(np.ravel((await anext(batches)).inputs.T)) == "abcdefgh"
            os.write(write, "jklmno€p".encode())  # € is not in the vocabulary, and does not stop anything
            second = await anext(batches)
            assert source.vocabulary.decode(np.ravel(second.inputs.T)) == "ijklmno\ufffd"
            os.close(write)
            assert [batch async for batch in batches] == []


async def test_waiting_for_a_stream_can_be_cancelled() -> None:
    async with open_pipe(2, 4) as (stream, write):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.__aenter__)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        os.close(write)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"too short", "9 symbols are shorter than one batch, which takes 10"),
        (b"abcd" * 9 + b"\xff" + b"efgh" * 9, "byte 0xff at offset 36 is not UTF-8; --vocabulary bytes"),
        (b"abcd" * 9 + b"\xe2\x82", "byte 0xe2 at offset 36 is not UTF-8"),
        (b"ab\xe2(cd" * 9, "byte 0xe2 at offset 2 is not UTF-8"),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 20])
async def test_a_file_that_is_no_training_text(
    content: bytes, message: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_file, "STRIDE", block)
    path = tmp_path / "text"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        async with open_source(path, batch_size=2, seq_len=4):
            pass


async def test_a_stream_that_is_no_training_text() -> None:
    for content, message in (
        (b"", "ended before one batch"),
        (b"abc", "3 symbols are shorter"),
        (b"ab\xff", "offset 2"),
    ):
        async with open_pipe(2, 4) as (stream, write):
            os.write(write, content)
            os.close(write)
            with pytest.raises(SourceError, match=message):
                async with stream:
                    pass


async def test_what_is_no_file_at_all(tmp_path: Path) -> None:
    for path, message in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SourceError, match=message):
            async with open_source(path, batch_size=2, seq_len=4):
                pass


async def test_an_error_in_the_callers_block_stays_what_it_is(text_file: Path) -> None:
    with pytest.raises(PermissionError):
        async with open_source(text_file, batch_size=2, seq_len=4):
            raise PermissionError("mine")


@pytest.mark.parametrize(
    ("argument", "value"), [("batch_size", 0), ("seq_len", 1.5), ("epochs", 0), ("vocabulary", "x")]
)
async def test_nonsense_arguments_raise(argument: str, value: object, text_file: Path) -> None:
    with pytest.raises(ValueError, match=argument):
        async with open_source(text_file, **{"batch_size": 2, "seq_len": 4, argument: value}):
            pass


async def test_a_wait_for_a_pipe_that_is_cancelled_takes_nothing_of_what_comes_later() -> None:
    read, write = os.pipe()
    async with PipeTransport(read, "pipe") as transport:
        for _ in range(3):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(TextStream(transport, 2, 3).__aenter__)
                await wait_all_tasks_blocked()
                assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
                nursery.cancel_scope.cancel()
        os.write(write, b"abcdefgh")
        os.close(write)
        async with TextStream(transport, 2, 3) as source:
            batches = [batch async for batch in source]
    assert source.vocabulary.decode(np.ravel(batches[0].inputs.T)) == "abcdef"


async def test_a_descriptor_that_cannot_be_waited_for_is_read_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"abcdefgh")
    async with (
        PipeTransport(os.open(path, os.O_RDONLY), "file") as transport,
        TextStream(transport, 2, 3) as source,
    ):
        assert len([batch async for batch in source]) == 1


async def test_a_connection_that_is_reset_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    async with PipeTransport(ours.detach(), "standard input") as transport:
        theirs.send(b"some")
        assert (await transport.receive()).data == b"some"
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        theirs.close()
        with pytest.raises(SourceError, match=r"^standard input: Connection reset by peer$"):
            await transport.receive()


async def test_standard_input_that_is_closed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="standard input: is closed"):
        async with open_source("-", batch_size=2, seq_len=4):
            pass


async def test_no_descriptor_is_left_open(tmp_path: Path, text_file: Path) -> None:
    (tmp_path / "short").write_text("short")
    before = os.listdir("/dev/fd")
    for path in (text_file, tmp_path / "short", tmp_path, "/proc/self/maps", "none"):
        for position in (None, {"batch": 1, "byte": 0, "end": 10**9}):
            with suppress(SourceError):
                async with open_source(path, batch_size=2, seq_len=4, position=position):
                    pass
    assert os.listdir("/dev/fd") == before
