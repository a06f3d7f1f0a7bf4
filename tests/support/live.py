"""Live sources in tests: what comes out of a transport, as far as it is waited for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import trio

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.sources import Opening, Transport, open_transport

SCHEMA = Schema.of("x", "x@+1", key="k")


class Taken(NamedTuple):
    """The keys and numbers of records, and the reasons of rejects, in their order."""

    records: list[tuple[str, float]]
    rejects: list[str]


class Reader:
    """The records of `transport`, taken one after the other."""

    def __init__(self, transport: Transport, form: str = "jsonl", options: RecordOptions | None = None) -> None:
        self.transport, self.said = transport, list[str]()
        self._blocks = DecodedBlocks(transport, form, Fields.of(SCHEMA), options)
        self._taken = Taken([], [])

    async def take(self, records: int, rejects: int = 0) -> Taken:
        """The next so many records and rejects, and whatever comes in the same blocks."""
        with trio.fail_after(10):
            while len(self._taken.records) < records or len(self._taken.rejects) < rejects:
                self._add(await self._blocks.receive())
        taken, self._taken = self._taken, Taken([], [])
        return taken

    async def nothing(self, seconds: float = 0.3) -> bool:
        """Whether nothing comes for so long."""
        with trio.move_on_after(seconds):
            while True:
                self._add(await self._blocks.receive())
        return self._taken == Taken([], [])

    def _add(self, block: Block) -> None:
        assert block.keys is not None
        self._taken.records.extend(zip(block.keys, block.numbers[:, 0].tolist(), strict=True))
        self._taken.rejects.extend(reject.reason for reject in block.rejects)


@asynccontextmanager
async def reading(
    address: str,
    form: str = "jsonl",
    options: RecordOptions | None = None,
    **opening: Any,  # noqa: ANN401 (of Opening)
) -> AsyncIterator[Reader]:
    said: list[str] = []
    async with open_transport(Opening(address, notice=said.append, **opening)) as transport:
        reader = Reader(transport, form, options)
        reader.said = said
        yield reader


async def connected(reader: Reader) -> None:
    """Wait until a broker is read from, and nothing has come."""
    assert await reader.nothing(0.05)
    await until(lambda: reader.transport.attempts.is_connected)  # type: ignore[attr-defined]


def line(key: str, x: float) -> bytes:
    return f'{{"k":"{key}","x":{x:g}}}\n'.encode()


def port_of(reader: Reader) -> int:
    return int(reader.transport.name.rpartition(":")[2])


def port_in(notice: str) -> int:
    """The port that a notice names."""
    found = re.search(r":(\d+)", notice)
    assert found is not None
    return int(found[1])


async def until(condition: Callable[[], bool]) -> None:
    """Look a hundred times a second until `condition` holds, for half a minute."""
    with trio.fail_after(30):
        while not condition():  # noqa: ASYNC110 (there is nothing that it would say it with)
            await trio.sleep(0.01)
