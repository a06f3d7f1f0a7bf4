"""Unix sockets, which are files too, and datagrams."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import trio
from support.live import line, port_of, reading

from recurrio.pipeline import SourceError


async def test_a_unix_socket_takes_many_producers_and_goes_in_the_end(short: Path) -> None:
    async with reading("unix:s") as reader:
        for number in range(3):
            async with await trio.open_unix_socket("s") as stream:
                await stream.send_all(line("a", number))
        assert sorted((await reader.take(3)).records) == [("a", 0.0), ("a", 1.0), ("a", 2.0)]
    assert not (short / "s").exists()


async def test_a_unix_socket_that_was_left_behind_is_replaced(short: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind("s")
    async with reading("unix:s") as reader:
        async with await trio.open_unix_socket("s") as stream:
            await stream.send_all(line("a", 1))
        await reader.take(1)


async def test_a_unix_socket_that_is_used_is_let_be(short: Path) -> None:
    async with reading("unix:s") as reader:
        with pytest.raises(SourceError, match="another process listens"):
            async with reading("unix:s"):
                pass
        async with await trio.open_unix_socket("s") as stream:
            await stream.send_all(line("a", 1))
        await reader.take(1)


async def test_a_file_is_no_unix_socket_and_stays(short: Path) -> None:
    (short / "s").write_text("precious")
    with pytest.raises(SourceError, match="something else than a socket"):
        async with reading("unix:s"):
            pass
    assert (short / "s").read_text() == "precious"


async def test_a_datagram_is_whole_lines() -> None:
    async with reading("udp-listen://127.0.0.1:0") as reader:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as producer:
            for data in (b"\x1f\x8b\x08", b"\xff\xfe", line("a", 1), line("a", 2)[:-1], b'{"k":"a",', b'"x":4}', b""):
                producer.sendto(data, ("127.0.0.1", port_of(reader)))
            producer.sendto(line("b", 1) + line("b", 2)[:-1], ("127.0.0.1", port_of(reader)))
        taken = await reader.take(4, 4)
        assert taken.records == [("a", 1.0), ("a", 2.0), ("b", 1.0), ("b", 2.0)]
        assert len(taken.rejects) == 4
        assert reader.transport.counts["datagrams"] == 8
