"""A log that is followed: as it grows, through rotation, truncation, links that turn, and half lines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
from support.live import Taken, line, reading

from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.line_decoder import BROKEN
from recurrio.pipeline.sources import tail


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "POLL", 0.005)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "a log.jsonl"


def put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def write(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def lines(start: int, stop: int) -> bytes:
    return b"".join(line("a", number) for number in range(start, stop))


def numbers(taken: Taken) -> list[int]:
    return [int(x) for _, x in taken.records]


async def test_it_grows(log: Path) -> None:
    put(log, lines(0, 3))
    async with reading(f"tail:{log}") as reader:
        assert numbers(await reader.take(3)) == [0, 1, 2]
        for number in range(3, 6):
            assert await reader.nothing(0.05)
            write(log, line("a", number))
            assert numbers(await reader.take(1)) == [number]


async def test_a_half_line_waits_for_its_rest(log: Path) -> None:
    put(log, b'{"k":"a","x":1')
    async with reading(f"tail:{log}") as reader:
        assert await reader.nothing(0.1)
        write(log, b"23}\n")
        assert await reader.take(1) == Taken([("a", 123.0)], [])


async def test_it_waits_for_a_file_that_is_not_there_and_says_so_once(log: Path) -> None:
    async with reading(f"tail:{log}") as reader:
        assert await reader.nothing(0.1)
        put(log, lines(0, 1))
        assert numbers(await reader.take(1)) == [0]
        assert reader.said == [f"{log}: is not there yet; waiting for it"]


async def test_it_may_begin_behind_what_there_is(log: Path) -> None:
    put(log, lines(0, 20_000) + b'{"k":"a",')
    async with reading(f"tail:{log}?from=end") as reader:
        assert await reader.nothing(0.05)
        write(log, b'"x":5}\n' + line("a", 6))
        assert await reader.take(2) == Taken([("a", 5.0), ("a", 6.0)], [])
        os.rename(log, f"{log}.1")
        put(log, lines(7, 9))  # of the next one all
        assert numbers(await reader.take(2)) == [7, 8]


async def test_rotation_drains_the_old_file_first(log: Path) -> None:
    put(log, lines(0, 2))
    async with reading(f"tail:{log}") as reader:
        await reader.take(2)
        with log.open("ab") as old:
            os.rename(log, f"{log}.1")
            assert await reader.nothing(0.05)
            old.write(lines(2, 4))  # the writer has not noticed yet
            old.flush()
            put(log, lines(4, 6))
            assert numbers(await reader.take(4)) == [2, 3, 4, 5]
        assert reader.transport.counts == {"files": 2, "unread": 0}


async def test_the_half_line_of_a_file_that_has_gone_is_rejected(log: Path) -> None:
    put(log, lines(0, 1) + b'{"k":"a","x":1')
    async with reading(f"tail:{log}") as reader:
        await reader.take(1)
        os.rename(log, f"{log}.1")
        put(log, b"23}\n" + lines(5, 6))
        taken = await reader.take(1, 2)
        assert numbers(taken) == [5]
        assert taken.rejects[0] == BROKEN


async def test_the_header_of_the_next_file_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfk,x,y\na,1,100\n")
    async with reading(f"tail:{path}", "csv") as reader:
        assert numbers(await reader.take(1)) == [1]
        os.rename(path, f"{path}.1")
        path.write_bytes(b"\xef\xbb\xbfk,y,x\na,101,2\n")
        assert await reader.take(1) == Taken([("a", 2.0)], [])
        os.rename(path, f"{path}.2")
        path.write_bytes(b"k,y\na,102\n")  # costs itself alone
        taken = await reader.take(0, 1)
        assert "no column x" in taken.rejects[0]
        os.rename(path, f"{path}.3")
        path.write_bytes(b"x,k\n3,a\n")
        assert numbers(await reader.take(1)) == [3]


@pytest.mark.parametrize("before", [0, 1, 30])
@pytest.mark.parametrize("after", [1, 29, 30, 31, 100])
async def test_a_file_that_is_written_anew_is_read_from_its_start(log: Path, before: int, after: int) -> None:
    """Also where it is as long as it was, or longer, when it is looked at next."""
    put(log, lines(100, 100 + before))
    async with reading(f"tail:{log}") as reader:
        await reader.take(before)
        with log.open("r+b") as file:
            file.truncate(0)
            file.write(lines(200, 200 + after))
        assert numbers(await reader.take(after)) == [*range(200, 200 + after)]
        write(log, lines(7, 8))
        assert numbers(await reader.take(1)) == [7]


async def test_zeros_under_a_writer_that_did_not_notice_are_nothing(log: Path) -> None:
    put(log, lines(0, 3))
    async with reading(f"tail:{log}") as reader:
        await reader.take(3)
        with log.open("r+b") as file:
            file.truncate(0)
            file.seek(1000)
            file.write(line("a", 9))
        assert numbers(await reader.take(1)) == [9]


async def test_a_link_is_followed_and_again_where_it_turns(tmp_path: Path) -> None:
    link = tmp_path / "current"
    async with reading(f"tail:{link}") as reader:
        (tmp_path / "1").write_bytes(lines(0, 2))
        link.symlink_to("1")
        assert numbers(await reader.take(2)) == [0, 1]
        write(tmp_path / "1", lines(2, 3))
        (tmp_path / "2").write_bytes(lines(3, 5))
        (tmp_path / "new").symlink_to("2")
        os.replace(tmp_path / "new", link)
        assert numbers(await reader.take(3)) == [2, 3, 4]


async def test_a_file_that_goes_and_comes_back(log: Path) -> None:
    put(log, lines(0, 1))
    async with reading(f"tail:{log}") as reader:
        await reader.take(1)
        os.remove(log)
        assert await reader.nothing(0.05)
        put(log, lines(1, 2))
        assert numbers(await reader.take(1)) == [1]


async def test_a_line_that_is_too_long_is_skipped(log: Path) -> None:
    put(log, lines(0, 1) + b"x" * (3 << 20) + b"\n" + lines(1, 2))
    async with reading(f"tail:{log}") as reader:
        taken = await reader.take(2, 1)
        assert numbers(taken) == [0, 1]
        assert len(taken.rejects) == 1


@pytest.mark.parametrize("what", ["folder", "device"])
async def test_only_files_can_be_followed(what: str, tmp_path: Path) -> None:
    path = tmp_path if what == "folder" else Path("/dev/zero")
    with pytest.raises(SourceError, match="regular file"):
        async with reading(f"tail:{path}") as reader:
            await reader.take(1)


async def test_a_wait_that_is_given_up_loses_nothing(log: Path) -> None:
    put(log, b"")
    async with reading(f"tail:{log}") as reader, trio.open_nursery() as nursery:

        async def writer() -> None:
            for number in range(300):
                write(log, line("a", number))
                await trio.sleep(0.001)

        nursery.start_soon(writer)
        got: list[int] = []
        while len(got) < 300:
            with trio.move_on_after(0.002):
                got += numbers(await reader.take(1))
        assert got == [*range(300)]
