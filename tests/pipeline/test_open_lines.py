"""Lines of text from any source: each stream has its own, and what is none is counted and costs no other."""

from __future__ import annotations

import gzip
import socket
import struct
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from recurrio.pipeline import SourceError, open_lines
from recurrio.pipeline.decoding.text_lines import TextLines
from recurrio.pipeline.sources import Chunk, Position, Streams, Transport

LONG = (1 << 20) + 1


class Given(Transport):
    """A transport of these chunks, and the streams that it was told to refuse."""

    name = "given"
    position: ClassVar[Position] = {}

    def __init__(self, chunks: list[Chunk], streams: Streams = Streams.ANYBODY) -> None:
        self._chunks, self.streams, self.refused = iter(chunks), streams, list[int]()

    async def receive(self) -> Chunk:
        """The next one."""
        for chunk in self._chunks:
            return chunk
        raise trio.EndOfChannel

    def refuse(self, stream: int) -> None:
        """See `Transport`."""
        self.refused.append(stream)

    async def aclose(self) -> None:
        """Nothing is open."""


def chunk(data: bytes, stream: int = 0, ends: str = "") -> Chunk:
    return Chunk(data, "somebody", {}, stream, ends)


async def lines_of(transport: Transport) -> tuple[list[str], int]:
    """All lines, and how many were rejected."""
    lines = TextLines(transport)
    return [line async for line in lines], lines.rejected


@given(st.lists(st.integers(0, 40)), st.booleans())
def test_bytes_may_be_cut_anywhere(cuts: list[int], packed: bool) -> None:
    data = "good\tça va\r\n\n  \nbad\t“no”\nthe last".encode()
    data = gzip.compress(data) if packed else data
    edges = [0, *sorted(cuts), len(data)]
    pieces = [chunk(data[start:end]) for start, end in pairwise(edges)]
    found = trio.run(lines_of, Given(pieces, Streams.ONE))
    assert found == (["good\tça va", "bad\t“no”", "the last"], 0)


async def test_each_stream_has_its_own_lines_and_one_that_breaks_off_has_no_last_one() -> None:
    chunks = [chunk(b"a1\na", 1), chunk(b"b1\nb2", 2), chunk(b"2\n", 1), chunk(b"", 2, "cut"), chunk(b"", 1, "whole")]
    assert await lines_of(Given(chunks)) == (["a1", "b1", "a2"], 1)


async def test_what_is_no_line_costs_no_other() -> None:
    chunks = [chunk(b"a\n\xff\xff\nb\n" + b"x" * LONG + b"\nc\n")]
    assert await lines_of(Given(chunks, Streams.ONE)) == (["a", "b", "c"], 2)


@pytest.mark.parametrize("strange", ["label\ttext of another kind\n".encode("utf-16"), b"x" * LONG])
async def test_strangers_are_hung_up_on(strange: bytes) -> None:
    transport = Given(
        [chunk(strange, 1), chunk(b"a\n", 2), chunk(b"more\n", 1), chunk(b"", 1, "cut"), chunk(b"b\n", 2)]
    )
    assert await lines_of(transport) == (["a", "b"], 1)
    assert transport.refused == [1]


async def test_what_a_stranger_has_packed_is_not_unpacked() -> None:
    found, rejected = await lines_of(Given([chunk(gzip.compress(b"a\n" * 1000) + b"\nb\n")]))
    assert found[-1] == "b"
    assert "a" not in found
    assert rejected


async def test_other_bytes_than_lines_end_a_source_that_is_one_stream() -> None:
    with pytest.raises(SourceError, match="given: this is UTF-16"):
        await lines_of(Given([chunk("label\ttext\n".encode("utf-16"))], Streams.ONE))


async def test_a_message_says_nothing_of_the_others() -> None:
    chunks = [chunk("ab\n".encode("utf-16")), chunk(b"a\n"), chunk(b"b")]
    assert await lines_of(Given(chunks, Streams.MESSAGES)) == (["a", "b"], 1)


async def test_a_file_and_a_socket(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text("one\ntwo", encoding="utf-8")
    async with open_lines(tmp_path / "lines.txt") as lines:
        assert [line async for line in lines] == ["one", "two"]
    said: list[str] = []
    with trio.fail_after(10):
        async with open_lines("tcp-listen://127.0.0.1:0", on_notice=said.append) as lines:
            port = int(said[0].rpartition(":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"three\nfo")
                assert await anext(lines) == "three"
                await stream.send_all(b"ur\nfive, which has no end")
                assert await anext(lines) == "four"
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await stream.send_all(b"six")
            assert await anext(lines) == "six"
            assert lines.rejected == 1
    with pytest.raises(SourceError, match="nothing"):
        async with open_lines(tmp_path / "nothing"):
            pass
