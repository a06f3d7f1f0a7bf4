"""A log that is followed on from where another process was, whatever has happened to its file meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from support.live import line

from recurrio.core.online.schema import Schema
from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.lanes.blocks import DecodedBlocks, further
from recurrio.pipeline.sources import Opening, open_transport, tail


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "POLL", 0.005)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a log.jsonl"


def lines(start: int, stop: int) -> bytes:
    return b"".join(line("a", number) for number in range(start, stop))


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def move(path: Path, to: Path) -> None:
    path.rename(to)


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def follow(log: Path, where: Any, count: int, **opening: Any) -> tuple[list[int], list[str], Any]:  # noqa: ANN401
    """The next `count` records from `where` on, what was rejected, and where it is then."""
    numbers, reasons, notices = list[int](), list[str](), list[str]()
    opening = {"notice": notices.append, **opening}
    with trio.fail_after(5):
        async with open_transport(Opening(f"tail:{log}", **opening)) as transport:
            blocks = DecodedBlocks(transport, "jsonl", Fields.of(Schema.of("x", "x@+1", key="k")))
            if where is not None:
                blocks.rewind(json.loads(json.dumps(where)))
            while len(numbers) < count:
                block = await blocks.receive()
                have, left = block.numbers[:, 0].astype(int).tolist(), count - len(numbers)
                numbers += have[:left]
                reasons += [reject.reason for reject in block.rejects if reject.before <= left]
                rejects = sum(reject.before <= left for reject in block.rejects)
                assert block.place is not None
                where = blocks.where(further(block.place, left, rejects) if left < len(have) else None)
    return numbers, reasons, where


Change = Callable[[Path], None]


def _grown(log: Path) -> None:
    write(log, lines(1000, 1300))


def _rotated(log: Path) -> None:
    move(log, Path(f"{log}.1"))
    put(log, lines(1000, 1300))


def _rotated_twice(log: Path) -> None:
    log.rename(f"{log}.2")
    Path(f"{log}.1").write_bytes(lines(1000, 1150))
    put(log, lines(1150, 1300))
    os.utime(f"{log}.2", (1, 1))
    os.utime(f"{log}.1", (2, 2))


def _copied_and_truncated(log: Path) -> None:
    shutil.copy(log, f"{log}.1")
    put(log, lines(1000, 1300))  # the same inode


def _renamed_by_date(log: Path) -> None:
    log.rename(f"{log}-20261126")
    put(log, lines(1000, 1300))


@pytest.mark.parametrize("change", [_grown, _rotated, _rotated_twice, _copied_and_truncated, _renamed_by_date])
@pytest.mark.parametrize("stop", [1, 500, 999, 1000])
async def test_each_record_comes_once(log: Path, stop: int, change: Change) -> None:
    put(log, lines(0, 1000))
    first, _, where = await follow(log, None, stop)
    change(log)
    second, reasons, _ = await follow(log, where, 1300 - stop)
    assert first + second == [*range(1300)]
    assert reasons == []


async def test_a_file_that_was_written_anew_is_read_from_its_start(log: Path) -> None:
    put(log, lines(0, 100))
    _, _, where = await follow(log, None, 50)
    put(log, lines(500, 900))
    assert (await follow(log, where, 400))[0] == [*range(500, 900)]


async def test_a_half_line_waits_for_its_rest(log: Path) -> None:
    put(log, lines(0, 3) + b'{"k":"a","x":1')
    first, _, where = await follow(log, None, 3)
    write(log, b'23}\n{"k":"a","x":4}\n')
    second, reasons, _ = await follow(log, where, 2)
    assert (first, second, reasons) == ([0, 1, 2], [123, 4], [])


async def test_a_half_line_whose_file_has_gone_is_rejected(log: Path) -> None:
    put(log, lines(0, 3) + b'{"k":"a","x":1')
    _, _, where = await follow(log, None, 3)
    move(log, Path(f"{log}.1"))
    put(log, lines(5, 6))
    numbers, reasons, _ = await follow(log, where, 1)
    assert numbers == [5]
    assert len(reasons) == 1


async def test_what_is_gone_stops_it_unless_that_is_allowed(log: Path) -> None:
    put(log, lines(0, 100))
    _, _, where = await follow(log, None, 50)
    move(log, log.parent / "elsewhere")
    put(log, lines(500, 600))
    with pytest.raises(SourceError, match=r"what stood behind byte .* is nowhere near it; --allow-gap goes on without"):
        await follow(log, where, 1)
    numbers, _, _ = await follow(log, where, 100, allow_gap=True)
    assert numbers == [*range(500, 600)]


async def test_a_path_that_is_not_there_is_waited_for(log: Path) -> None:
    put(log, lines(0, 10))
    _, _, where = await follow(log, None, 5)
    moved = log.parent / "elsewhere"
    move(log, moved)

    async def back() -> None:
        await trio.sleep(0.1)
        move(moved, log)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(back)
        assert (await follow(log, where, 5))[0] == [5, 6, 7, 8, 9]
