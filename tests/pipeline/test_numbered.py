"""Producers that number their lines: acknowledged when they are on the disk, and each of them once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from support.live import line

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.sources import Opening, open_transport
from recurrio.pipeline.sources.journal import Journal


class Server:
    """A process that listens, and takes what comes."""

    def __init__(self, blocks: DecodedBlocks, journal: Journal) -> None:
        self.blocks, self.journal = blocks, journal
        self.numbers: list[int] = []
        self.rejects = 0
        self.came = trio.Event()

    async def take(self) -> None:
        while True:
            block = await self.blocks.receive()
            self.numbers += block.numbers[:, 0].astype(int).tolist()
            self.rejects += len(block.rejects)
            if self.numbers:
                self.came.set()


@asynccontextmanager
async def serving(folder: Path, where: Any = None) -> AsyncIterator[Server]:  # noqa: ANN401
    journal = Journal(folder / "journal")
    opening = Opening(f"unix:{folder}/s", journal=journal)
    async with open_transport(opening) as transport, trio.open_nursery() as nursery:
        blocks = DecodedBlocks(transport, "jsonl", Fields.of(Schema.of("x", "x@+1", key="k")))
        if where is not None:
            blocks.rewind(json.loads(json.dumps(where)))
        server = Server(blocks, journal)
        nursery.start_soon(server.take)
        yield server
        nursery.cancel_scope.cancel()


class Producer:
    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream, self._buffer = stream, b""

    async def say(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def hear(self) -> bytes:
        with trio.fail_after(5):
            while b"\n" not in self._buffer:
                data = await self._stream.receive_some()
                if not data:
                    return b""
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def hear_of(self, number: int) -> None:
        while (heard := await self.hear()) != b"ACK %d" % number:
            assert heard.startswith(b"ACK "), heard
            assert int(heard[4:]) < number


@asynccontextmanager
async def producing(folder: Path, name: bytes = b"RECURRIO-ACK me\n") -> AsyncIterator[Producer]:
    async with await trio.open_unix_socket(f"{folder}/s") as stream:
        producer = Producer(stream)
        await producer.say(name)
        yield producer


def numbered(start: int, stop: int) -> bytes:
    return b"".join(b"%d\t%s" % (number, line("a", number)) for number in range(start, stop))


async def test_lines_are_acknowledged_when_they_are_on_the_disk(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = Journal.sync

    def sync(journal: Journal) -> Any:  # noqa: ANN401
        work, end = real(journal), journal.end

        def noted() -> None:
            assert work is not None
            work()
            synced.append(end)

        return noted

    monkeypatch.setattr(Journal, "sync", sync)
    async with serving(short) as server, producing(short) as producer:
        assert await producer.hear() == b"LAST 0"
        await producer.say(numbered(1, 4))
        await producer.hear_of(3)
        assert synced
        assert synced[-1] == server.journal.end
        assert server.numbers == [1, 2, 3]


async def test_a_line_that_comes_again_is_dropped_and_acknowledged(short: Path) -> None:
    async with serving(short) as server:
        async with producing(short) as producer:
            assert await producer.hear() == b"LAST 0"
            await producer.say(numbered(1, 4))
            await producer.hear_of(3)
        async with producing(short) as producer:
            assert await producer.hear() == b"LAST 3"
            await producer.say(numbered(2, 4))
            assert await producer.hear() == b"ACK 3"
            await producer.say(numbered(3, 7))
            await producer.hear_of(6)
        assert server.numbers == [1, 2, 3, 4, 5, 6]


async def test_another_process_knows_what_was_safe(short: Path) -> None:
    async with serving(short) as server, producing(short) as producer:
        await producer.hear()
        await producer.say(numbered(1, 4) + b"4\t{half")
        await producer.hear_of(3)
        where = server.blocks.where()
        await producer.say(b"\n" + numbered(5, 6))
        await producer.hear_of(5)
    async with serving(short, where) as again, producing(short) as producer:
        assert await producer.hear() == b"LAST 5"
        await producer.say(numbered(4, 8))
        await producer.hear_of(7)
        assert again.numbers == [5, 6, 7]
        assert again.rejects == 1


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"x\t{}\n", b"ERR expected a number from 1, a tab and a record"),
        (b"0\t{}\n", b"ERR expected a number from 1, a tab and a record"),
        (b"1 {}\n", b"ERR expected a number from 1, a tab and a record"),
        (b"1\t" + b"x" * ((1 << 20) + 1025), b"ERR the line is too long"),
    ],
)
async def test_nonsense_is_answered(short: Path, said: bytes, answer: bytes) -> None:
    async with serving(short) as server, producing(short) as producer:
        assert await producer.hear() == b"LAST 0"
        await producer.say(said)
        assert await producer.hear() == answer
        assert server.numbers == []


async def test_a_nameless_producer_is_refused(short: Path) -> None:
    async with serving(short), producing(short, b"RECURRIO-ACK \n") as producer:
        assert await producer.hear() == b"ERR expected a name"


async def test_others_need_not_number_theirs(short: Path) -> None:
    async with serving(short) as server, await trio.open_unix_socket(f"{short}/s") as stream:
        for piece in (b"R", b"ubbish\n", line("a", 1)):
            await stream.send_all(piece)
            await trio.sleep(0.02)
        with trio.fail_after(5):
            await server.came.wait()
        assert (server.numbers, server.rejects) == ([1], 1)


async def test_words_may_come_byte_by_byte(short: Path) -> None:
    async with serving(short) as server, producing(short, b"") as producer:
        for byte in b"RECURRIO-ACK me\n" + numbered(1, 3):
            await producer.say(bytes([byte]))
            await trio.lowlevel.checkpoint()
        assert await producer.hear() == b"LAST 0"
        await producer.hear_of(2)
        assert server.numbers == [1, 2]


async def test_what_is_in_the_journal_is_said_to_be(short: Path) -> None:
    journal = Journal(short / "journal")
    async with open_transport(Opening(f"unix:{short}/s", journal=journal)) as transport:
        assert not transport.replays
        async with await trio.open_unix_socket(f"{short}/s") as stream:
            await stream.send_all(line("a", 1))
            await transport.receive()
    async with open_transport(Opening(f"unix:{short}/s", journal=Journal(short / "journal"))) as transport:
        assert transport.replays
        assert (await transport.receive()).data == line("a", 1)
        assert transport.replays
        assert (await transport.receive()).ends == "cut"
        assert not transport.replays
