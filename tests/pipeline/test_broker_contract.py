"""What every broker promises, as a source and as a sink, of real servers: one list, and each goes through all of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import trio
from support.brokers import BROKERS, Broker, Mosquitto, running
from support.live import reading

from recurrio.pipeline.sinks import open_sink
from recurrio.pipeline.sources import Opening, SourceError, open_transport
from recurrio.pipeline.sources.journal import Journal


@pytest.fixture(scope="module", params=BROKERS)
def broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with running(request.param, tmp_path_factory.mktemp("broker")) as broker:
        yield broker


def lines(count: int, first: int = 0) -> list[bytes]:
    return [b'{"k":"%d","x":%d}' % (number % 5, number) for number in range(first, first + count)]


def named(broker: Broker, name: str) -> str:
    """The address of what is to be read, with the name of its client where the broker needs one."""
    return broker.address(name, f"?client={name}" if isinstance(broker, Mosquitto) else "")


def by_key(records: list[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for key, x in records:
        found.setdefault(key, []).append(x)
    return found


EACH = {str(key): [float(x) for x in range(key, 300, 5)] for key in range(5)}


async def test_all_comes_once_in_the_order_of_its_key(broker: Broker) -> None:
    await broker.prepare("all")
    await broker.fill("all", lines(300))
    async with reading(named(broker, "all")) as reader:
        taken = await reader.take(300)
        assert by_key(taken.records) == EACH
        assert await reader.nothing()


async def test_what_is_in_the_journal_does_not_come_again_and_the_rest_does(broker: Broker, tmp_path: Path) -> None:
    await broker.prepare("kept")
    await broker.fill("kept", lines(200))
    came: list[tuple[str, float]] = []
    for count in (1, 120, 200):
        journal = Journal(tmp_path)
        async with open_transport(Opening(named(broker, "kept"), journal=journal)) as transport:
            found = 0
            with trio.fail_after(10):
                while found < count:
                    data = (await transport.receive()).data
                    found += data.count(b"\n")
            await trio.sleep(0.05)
        if count == 120:
            await broker.fill("kept", lines(100, 200))
    journal = Journal(tmp_path)
    async with reading(named(broker, "kept"), journal=journal) as reader:
        came = (await reader.take(300)).records
        assert await reader.nothing()
    assert by_key(came) == EACH


async def test_it_goes_away_and_comes_back(broker: Broker, tmp_path: Path) -> None:
    """Fault 28: all comes, and nothing twice; it is said once, and once more when it is there again."""
    await broker.prepare("gone")
    await broker.fill("gone", lines(100))
    async with reading(named(broker, "gone"), journal=Journal(tmp_path)) as reader:
        came = (await reader.take(100)).records
        await trio.sleep(0.1)
        await trio.to_thread.run_sync(broker.disturb)
        await broker.fill("gone", lines(200, 100))
        came += (await reader.take(200)).records
        assert by_key(came) == EACH
        assert await reader.nothing()
        if reader.said:  # of Kafka, the client itself may have connected again
            assert [text.rpartition(": ")[2].partition(";")[0] for text in reader.said[1::2]] == ["connected"]


async def test_it_goes_away_while_nobody_reads(broker: Broker, tmp_path: Path) -> None:
    """What was in hand then is not lost with the connection."""
    await broker.prepare("idle")
    await broker.fill("idle", lines(3000))
    async with reading(named(broker, "idle"), journal=Journal(tmp_path)) as reader:
        came = (await reader.take(1)).records
        await trio.sleep(0.3)
        await trio.to_thread.run_sync(broker.disturb)
        await trio.sleep(0.7)
        came += (await reader.take(3000 - len(came))).records
        assert by_key(came) == {str(key): [*range(key, 3000, 5)] for key in range(5)}
        assert await reader.nothing()


async def test_numbers_of_producers_tell_what_came_twice(broker: Broker) -> None:
    """Fault 27."""
    await broker.prepare("twice")
    said = [b'{"k":"%d","x":%d,"n":%d}' % (number % 2, number, number // 2 + 1) for number in range(60)]
    await broker.fill("twice", [*said, *said[20:], *said[:4], b'{"k":"7","x":1}'])
    address = named(broker, "twice")
    address += ("&" if "?" in address else "?") + "producer=k&sequence=n"
    async with reading(address) as reader:
        taken = (await reader.take(61)).records
        assert len(taken) == 61
        assert await reader.nothing()
        assert reader.transport.counts["duplicates"] == 44


async def test_a_reader_that_stops_leaves_the_rest_with_the_broker(broker: Broker) -> None:
    await broker.prepare("slow")
    payload = [b'{"k":"a","x":%d,"more":"%s"}' % (number, b"z" * 20_000) for number in range(1500)]
    await broker.fill("slow", payload)
    async with open_transport(named(broker, "slow")) as transport:
        with trio.fail_after(10):
            first = await transport.receive()
        assert len(first.data) < 3_000_000
        before = psutil.Process().memory_info().rss
        await trio.sleep(0.5)
        assert psutil.Process().memory_info().rss - before < 12_000_000  # of 30


@pytest.mark.parametrize("options", ["?nothing=1", "?from=middle", "?sequence", ""])
async def test_nonsense_in_an_address_is_said(broker: Broker, options: str) -> None:
    address = broker.address("name" if options else "", options)
    with pytest.raises(SourceError, match="expected"):
        async with open_transport(address):
            pass


# As a sink.


async def put(
    broker: Broker, name: str, groups: list[list[bytes]], between: Callable[[], Awaitable[object]] | None = None
) -> None:
    async with open_sink(broker.address(name)) as sink:
        for group in groups:
            sink.put([(line.partition(b",")[0].decode(), line) for line in group])
            await sink.room()
            if between is not None:
                await between()


async def test_all_gets_there_in_the_order_of_its_key(broker: Broker) -> None:
    await broker.prepare("out")
    await put(broker, "out", [lines(1), lines(1200, 1), lines(99, 1201)])
    found = [json.loads(line) for line in await broker.read("out")]
    assert by_key([(said["k"], said["x"]) for said in found]) == by_key(
        [(str(number % 5), number) for number in range(1300)]
    )


async def test_lines_wait_for_a_broker_that_is_away(broker: Broker) -> None:
    await broker.prepare("later")
    await put(broker, "later", [lines(100), lines(100, 100)], partial(trio.to_thread.run_sync, broker.disturb))
    found = await broker.read("later")
    assert set(found) == set(lines(200))  # each at least once
    first = [line for index, line in enumerate(found) if line not in found[:index]]
    assert by_key([(said["k"], said["x"]) for said in map(json.loads, first)]) == by_key(
        [(str(number % 5), number) for number in range(200)]
    )


async def test_a_sync_says_what_has_not_come_there(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    from recurrio.pipeline.sinks import sink as module

    monkeypatch.setattr(module, "PATIENCE", 0.3)
    address = broker.address("nowhere").replace(str(broker.port), "1")
    with pytest.raises(OSError, match="2 lines have not come there"):
        async with open_sink(address) as sink:
            sink.put([(None, b"a"), (None, b"b")])
