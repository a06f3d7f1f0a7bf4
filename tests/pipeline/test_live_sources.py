"""Sockets: many producers at once, those that break off, strangers, and servers that go and come back."""

from __future__ import annotations

import socket
import struct
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from support.live import SCHEMA, Reader, Taken, line, port_of, reading

from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.columns import concatenate
from recurrio.pipeline.decoding.line_decoder import BROKEN, TOO_LONG
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.decoding.streams import StreamDecoders
from recurrio.pipeline.sources import Chunk, Streams, connect, connections, net
from recurrio.pipeline.sources.connections import Connections
from recurrio.pipeline.sources.source import CUT, WHOLE

LISTEN = "tcp-listen://127.0.0.1:0"
ALL = [("a", 1.0), ("b", 2.0), ("a", 3.0)]
DATA = b"".join(line(key, x) for key, x in ALL)


async def send(port: int, *pieces: bytes, reset: bool = False) -> None:
    """What a producer does; with `reset` it breaks off."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    for piece in pieces:
        await stream.send_all(piece)
        await trio.sleep(0.02)
    if reset:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await stream.aclose()


async def closed(port: int, data: bytes) -> bool:
    """Whether a producer of `data` is hung up on."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.move_on_after(5):
            try:
                await stream.send_all(data)
                return not await stream.receive_some(1)
            except trio.BrokenResourceError:
                return True
    return False


# One stream of bytes, however it is cut


@given(st.lists(st.integers(0, len(DATA)), max_size=6), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_connection_is_as_a_file_however_its_bytes_come(places: list[int], every_byte: bool) -> None:
    async def main() -> None:
        source = Connections("here", Streams.ANYBODY)
        near, far = trio.testing.memory_stream_one_way_pair()
        edges = [*range(len(DATA) + 1)] if every_byte else [0, *sorted(places), len(DATA)]

        async def produce() -> None:
            for start, stop in pairwise(edges):
                if stop > start:
                    await near.send_all(DATA[start:stop])
                    await trio.lowlevel.checkpoint()
            await near.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(produce)
            nursery.start_soon(source.take, far, "there")
            assert await Reader(source).take(3) == Taken(ALL, [])
            nursery.cancel_scope.cancel()

    trio.run(main)


# Listening


async def test_producers_send_at_once_and_each_has_lines_of_its_own() -> None:
    async with reading(LISTEN) as reader, trio.open_nursery() as nursery:
        port = port_of(reader)
        nursery.start_soon(send, port, b'{"k":"a","x":1}\n{"k":"a"', b',"x":2}\n{"k":"a","x":3}')
        nursery.start_soon(send, port, b'{"k":"b",', b'"x":1}\n{"k":"b","x":2}', b"\n")
        taken = await reader.take(5)
        assert [x for key, x in taken.records if key == "a"] == [1, 2, 3]  # the last one needs no end
        assert [x for key, x in taken.records if key == "b"] == [1, 2]
        assert taken.rejects == []
        assert reader.transport.counts["connections"] == 2
    assert reader.said == [f"listening on {reader.transport.name}"]


async def test_what_broke_off_is_rejected_and_the_others_go_on() -> None:
    async with reading(LISTEN) as reader, trio.open_nursery() as nursery:
        port = port_of(reader)
        stays = await trio.open_tcp_stream("127.0.0.1", port)
        await stays.send_all(line("a", 1))
        await reader.take(1)
        nursery.start_soon(partial(send, port, line("b", 1) + b'{"k":"b","x":2', reset=True))
        taken = await reader.take(1, 1)
        assert taken.records == [("b", 1.0)]
        assert taken.rejects == [BROKEN]
        await stays.send_all(line("a", 2))
        assert await reader.take(1) == Taken([("a", 2.0)], [])
        await stays.aclose()


async def test_a_line_without_end_closes_its_connection_and_costs_one_reject() -> None:
    async with reading(LISTEN) as reader:
        port = port_of(reader)
        found: list[bool] = []
        async with trio.open_nursery() as nursery:

            async def flood() -> None:
                found.append(await closed(port, line("a", 1) + b"x" * (3 << 20)))

            nursery.start_soon(flood)
            assert await reader.take(1, 1) == Taken([("a", 1.0)], [TOO_LONG])
            assert await reader.nothing()
        assert found == [True]
        assert reader.transport.counts["refused"] == 1
        await send(port, line("a", 2))
        assert await reader.take(1) == Taken([("a", 2.0)], [])


STRANGERS = [
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\nAccept: */*\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n\n\0\1\2\n\3\n",
    b"\xff\xfe{\x00}\x00\n\x00",
    b"PK\x03\x04 and more\n",
    b"\x1f\x8b\x08\x00 no gzip at all\n",
    b"1\n2\n3\n4\n",
]


@pytest.mark.parametrize("data", STRANGERS, ids=range(len(STRANGERS)))
async def test_strangers_are_hung_up_on_and_nothing_else_happens(data: bytes) -> None:
    async with reading(LISTEN) as reader, trio.open_nursery() as nursery:
        port, found = port_of(reader), list[bool]()

        async def knock() -> None:
            found.append(await closed(port, data))

        nursery.start_soon(knock)
        with trio.move_on_after(0.5):
            await reader.take(1)
        nursery.start_soon(send, port, line("a", 1))
        assert ("a", 1.0) in (await reader.take(1)).records
        while not found:
            await reader.nothing(0.1)
        assert found == [True]


async def test_connections_that_say_nothing_are_nothing() -> None:
    async with reading(LISTEN) as reader:
        async with AsyncExitStack() as stack:
            for _ in range(50):
                await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port_of(reader)))
                await send(port_of(reader))
            assert await reader.nothing(0.2)
        assert await reader.nothing(0.2)
        assert reader.transport.counts["connections"] == 100


async def test_the_one_that_is_silent_for_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)
    async with reading(LISTEN) as reader:
        producers = []
        for number in range(5):
            producers.append(await trio.open_tcp_stream("127.0.0.1", port_of(reader)))
            await producers[-1].send_all(line(str(number), 1))
            await reader.take(1)
        await reader.nothing(0.1)
        with trio.fail_after(2):
            assert await producers[0].receive_some(1) == b""
            assert await producers[1].receive_some(1) == b""
        await producers[2].send_all(line("2", 2))
        assert await reader.take(1) == Taken([("2", 2.0)], [])
        assert reader.transport.counts["open"] == 3
        for producer in producers:
            await producer.aclose()


async def test_the_clock_of_a_silent_one_begins_again_with_each_blank_line(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source = Connections("here", Streams.ANYBODY)
    near, far = trio.testing.memory_stream_one_way_pair()
    async with trio.open_nursery() as nursery:

        async def produce() -> None:
            await near.send_all(line("a", 1))
            for blank in [b"\n", b"\r\n", b" \n"] * 20:
                await trio.sleep(connections.IDLE * 0.9)
                await near.send_all(blank)
            await near.send_all(line("a", 2))

        nursery.start_soon(produce)
        nursery.start_soon(source.take, far, "there")
        blocks = StreamDecoders("jsonl", SCHEMA, None, Streams.ANYBODY)
        records = 0
        while records < 2:
            block = blocks.feed(await source.receive())
            assert not block.rejects
            records += block.size
        chunk = await source.receive()  # after an hour of silence
        assert chunk.ends == CUT
        nursery.cancel_scope.cancel()


async def test_nothing_is_read_while_nobody_receives() -> None:
    async with reading(LISTEN) as reader:
        producer = await trio.open_tcp_stream("127.0.0.1", port_of(reader))
        sent = 0
        with trio.move_on_after(1):
            while True:
                await producer.send_all(line("a", 1) * 5000)
                sent += 5000
        assert 0 < sent < 2_000_000  # what the sockets hold
        taken = await reader.take(sent)
        assert len(taken.records) >= sent
        await producer.aclose()


async def test_one_that_floods_leaves_the_others_their_turn() -> None:
    async with reading(LISTEN) as reader, trio.open_nursery() as nursery:

        async def flood() -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port_of(reader)) as stream:
                while True:
                    await stream.send_all(line("flood", 1) * 10_000)

        nursery.start_soon(flood)
        await reader.take(10_000)
        nursery.start_soon(send, port_of(reader), line("a", 1))
        await trio.sleep(0.1)
        taken = await reader.take(100_000)
        assert ("a", 1.0) in taken.records
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "example.invalid"])
@pytest.mark.parametrize("scheme", ["tcp-listen", "udp-listen"])
async def test_other_machines_are_let_in_only_where_that_is_said(host: str, scheme: str) -> None:
    with pytest.raises(SourceError, match="--allow-remote"):
        async with reading(f"{scheme}://{host}:0"):
            pass
    if host == "0.0.0.0":
        async with reading(f"{scheme}://{host}:0", allow_remote=True):
            pass


@pytest.mark.parametrize("address", ["tcp-listen://127.0.0.1", "tcp://:x", "udp-listen://127.0.0.1:99999", "tcp://"])
async def test_an_address_without_a_port_is_named(address: str) -> None:
    with pytest.raises(SourceError, match="expected host:port"):
        async with reading(address):
            pass


async def test_a_scheme_that_is_none_is_named() -> None:
    with pytest.raises(SourceError, match="tcp-listen://"):
        async with reading("tcp-listn://127.0.0.1:9000"):
            pass


async def test_a_port_that_is_taken_is_named() -> None:
    async with reading(LISTEN) as reader:
        with pytest.raises(SourceError, match="already in use"):
            async with reading(f"tcp-listen://127.0.0.1:{port_of(reader)}"):
                pass


# Unix sockets


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in: the path of a socket cannot be long."""
    folder = tmp_path_factory.mktemp("s p")
    monkeypatch.chdir(folder)
    return folder


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


# Connecting


async def test_a_server_that_goes_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "Backoff", partial(net.Backoff, 0.01, 0.05))
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with reading(f"tcp://127.0.0.1:{port}") as reader:
        for number in range(3):
            async with await listeners[0].accept() as stream:
                await stream.send_all(line("a", number) + b'{"k":"a","x":7}')  # the last one needs no end
            assert (await reader.take(2)).records == [("a", number), ("a", 7.0)]
        assert reader.transport.counts["reconnects"] in (2, 3)
        await listeners[0].aclose()
        await trio.sleep(0.2)
        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        async with await listeners[0].accept() as stream:
            await stream.send_all(line("a", 9))
        assert (await reader.take(1)).records == [("a", 9.0)]
        assert any("refused" in text and "trying again" in text for text in reader.said)
        assert any("connected" in text for text in reader.said)
    await listeners[0].aclose()


async def test_waits_between_attempts_grow_and_are_never_alike(autojump_clock: trio.testing.MockClock) -> None:
    backoff, waits = net.Backoff(), []
    for _ in range(12):
        start = trio.current_time()
        await backoff.wait()
        waits.append(trio.current_time() - start)
    assert all(0.05 * 2**n <= wait <= 0.1 * 2**n for n, wait in enumerate(waits[:8]))
    assert all(15 <= wait <= 30 for wait in waits[9:])
    assert len({*waits}) == len(waits)
    backoff.reset()
    start = trio.current_time()
    await backoff.wait()
    assert trio.current_time() - start <= 0.1


async def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(SourceError, match=r"example.invalid:1: "):
        async with reading("tcp://example.invalid:1"):
            pass


# Datagrams


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


def test_messages_have_no_header_and_no_raw_blocks() -> None:
    with pytest.raises(ArgumentError, match="--columns"):
        StreamDecoders("csv", SCHEMA, None, Streams.MESSAGES)
    with pytest.raises(ArgumentError, match="raw"):
        StreamDecoders("raw", SCHEMA, RecordOptions(dtype="k:i4,x:f4"), Streams.MESSAGES)
    decoders = StreamDecoders("csv", SCHEMA, RecordOptions(columns=("k", "x")), Streams.MESSAGES)
    assert decoders.feed(Chunk(b"a,1\n", "there", {})).size == 1


# Streams through decoders

BAD, GOOD, LONG = b"junk\n", line("a", 1), b'{"k":"' + b"y" * (1 << 20) + b'"}\n'
SENT = {
    "good": GOOD * 3,
    "two strange": BAD * 2 + GOOD + BAD * 5,
    "strange": BAD * 4 + GOOD,
    "long": GOOD + LONG + GOOD,
    "long without end": GOOD + LONG[:-1],
}


@pytest.mark.parametrize("name", SENT)
@pytest.mark.parametrize("kind", Streams)
@pytest.mark.parametrize("ends", [WHOLE, CUT])
def test_a_stream_is_refused_at_the_same_place_however_it_is_cut(name: str, kind: Streams, ends: str) -> None:
    def decode(size: int, at: int | None = None) -> tuple[int, list[tuple[int, str]], list[int]]:
        decoders, refused = StreamDecoders("jsonl", SCHEMA, None, kind), list[int]()
        pieces = [SENT[name][start : start + size] for start in range(0, len(SENT[name]), size)]
        blocks = []
        for index, piece in enumerate([*pieces, b""]):
            if index == at:
                state = decoders.dump()
                decoders = StreamDecoders("jsonl", SCHEMA, None, kind)
                decoders.load(state)
            blocks.append(decoders.feed(Chunk(piece, "there", {}, 5, "" if index < len(pieces) else ends)))
            refused += decoders.take_refused()
        block = concatenate(blocks)
        return block.size, [(reject.before, reject.reason) for reject in block.rejects], refused

    sizes = (7, 1000, 1 << 22) if len(SENT[name]) < 10_000 else (99_991, 1 << 22)
    first = decode(sizes[0])
    assert [decode(size) for size in sizes[1:]] == [first] * (len(sizes) - 1)
    assert decode(sizes[0], at=2) == first
    closes = kind in (Streams.CONNECTIONS, Streams.ANYBODY)
    assert first[2] == ([5] if (name == "strange" and kind == Streams.ANYBODY) or ("long" in name and closes) else [])


@pytest.mark.parametrize("kind", Streams)
def test_a_stream_that_is_at_fault_costs_itself_alone_once_one_has_fitted(kind: Streams) -> None:
    decoders = StreamDecoders("csv", SCHEMA, RecordOptions(columns=("k", "x")), kind)
    wrong = Chunk(b"\xff\xfek,x\n", "there", {}, 1)
    if kind == Streams.MESSAGES:
        assert decoders.feed(wrong).rejects
        return
    if kind < Streams.ANYBODY:
        with pytest.raises(SourceError, match="there: this is UTF-16"):
            decoders.feed(wrong)
        decoders = StreamDecoders("csv", SCHEMA, RecordOptions(columns=("k", "x")), kind)
    decoders.feed(Chunk(b"a,1\n", "here", {}, 0))
    if kind == Streams.ONE:
        return
    (reject,) = decoders.feed(wrong).rejects
    assert reject.reason.startswith("this is UTF-16")
    assert decoders.take_refused() == [1]
    assert decoders.feed(Chunk(b"a,1\n", "there", {}, 1)).size == 0
    assert decoders.feed(Chunk(b"a,2\n", "here", {}, 0)).size == 1
