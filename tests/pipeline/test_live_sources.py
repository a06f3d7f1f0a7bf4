"""Sockets: many producers at once, those that break off, strangers, and servers that go and come back."""

from __future__ import annotations

import socket
import struct
from contextlib import AsyncExitStack
from functools import partial
from itertools import pairwise

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from support.live import SCHEMA, Reader, Taken, line, port_of, reading

from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.line_decoder import BROKEN, TOO_LONG
from recurrio.pipeline.decoding.streams import StreamDecoders
from recurrio.pipeline.sources import Streams, attempts, connections, net
from recurrio.pipeline.sources.connections import Connections
from recurrio.pipeline.sources.source import CUT

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
        blocks = StreamDecoders("jsonl", Fields.of(SCHEMA), None, Streams.ANYBODY)
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


# Connecting


async def test_a_server_that_goes_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "Backoff", partial(net.Backoff, 0.01, 0.05))
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
