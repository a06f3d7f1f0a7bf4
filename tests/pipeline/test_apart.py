"""Decoding in a process of its own: the same bits, the same errors, and nothing left behind."""

from __future__ import annotations

import gzip
import os
import resource
import select
import signal
from contextlib import suppress
from pathlib import Path

import pytest
import trio
from support.streams import Result, as_csv, as_jsonl, make_data, train

from recurrio.core import Adam
from recurrio.pipeline import Report, SourceError, Trainer, open_records
from recurrio.pipeline.flow.worker_process import WorkerError, obstacle
from recurrio.pipeline.lanes import apart
from recurrio.pipeline.sources import Chunk, file, journal, pipe
from recurrio.pipeline.sources.journal import Journals

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))

DATA = make_data(3000, 40, broken=50)
OPTIONS = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6}


@pytest.fixture(params=[64, 12], ids=["room for all", "keys must go"])
def keys(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[apart.ApartBlocks]:
    """A process is started after a hundred records, and chunks are small; who has handed over is in the list."""
    handed: list[apart.ApartBlocks] = []
    hand_over = apart.ApartBlocks._hand_over

    def noted(blocks: apart.ApartBlocks) -> bool:
        handed.append(blocks)
        waits = select.poll()
        waits.register(blocks._answers, select.POLLIN)
        assert waits.poll(30_000)  # where it is only asked whether it is ready
        return hand_over(blocks)

    monkeypatch.setattr(apart, "MANY", 100)
    monkeypatch.setattr(apart, "processors", lambda: 2)
    monkeypatch.setattr(apart.ApartBlocks, "_hand_over", noted)
    monkeypatch.setattr(file, "CHUNK", 5000)
    return handed


async def run(path: Path, **options: object) -> Result:
    async with open_records(path, **{**OPTIONS, **options}) as records:
        return await train(records)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
async def test_it_decodes_the_same(
    form: str, keys: int, tmp_path: Path, at_once: list[apart.ApartBlocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"data.{form}"
    path.write_bytes(as_jsonl(DATA) if form == "jsonl" else as_csv(DATA))
    found = await run(path, max_keys=keys)
    assert len(at_once) == 1
    assert at_once[0]._process is None  # closed
    monkeypatch.setattr(apart, "processors", lambda: 1)
    expected = await run(path, max_keys=keys)
    assert len(at_once) == 1
    assert found == expected
    assert (found.counts["evicted"] > 0) == (keys == 12)


async def test_what_the_transport_meets_is_ours(
    tmp_path: Path, at_once: list[apart.ApartBlocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(as_csv(DATA))
    read = file.FileTransport.read

    def broken(transport: file.FileTransport, place: int, size: int) -> Chunk:
        if place > 30_000:
            raise SourceError("the disk has gone")
        return read(transport, place, size)

    monkeypatch.setattr(file.FileTransport, "read", broken)
    with pytest.raises(SourceError, match="the disk has gone"):
        await run(path)
    assert at_once


async def test_what_is_in_a_journal_is_read_from_there(
    tmp_path: Path, at_once: list[apart.ApartBlocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not too far ahead of what is trained on."""
    fifo, path = tmp_path / "pipe", tmp_path / "data.csv"
    path.write_bytes(as_csv(DATA))
    sent: list[tuple[int, int]] = []
    send = apart._send

    async def noted(pipe: int, head: bytes, data: bytes = b"") -> None:
        sent.append((len(data), at_once[0]._ahead))
        await send(pipe, head, data)

    monkeypatch.setattr(apart, "_send", noted)
    monkeypatch.setattr(apart, "LONG", 100)
    monkeypatch.setattr(apart, "AHEAD", 2000)
    monkeypatch.setattr(pipe, "CHUNK", 5000)
    monkeypatch.setattr(journal, "SEGMENT", 30_000)
    os.mkfifo(fifo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, fifo.write_bytes, path.read_bytes())
        found = await run(fifo, format="csv", journals=Journals(tmp_path / "journals"))
    assert len(sent) > 5
    assert max(size for size, _ in sent) < 100
    assert max(ahead for _, ahead in sent) <= 2000 + 5000
    monkeypatch.setattr(apart, "processors", lambda: 1)
    assert found[:2] == (await run(path))[:2]


async def test_many_files_may_be_open(tmp_path: Path, at_once: list[apart.ApartBlocks]) -> None:
    """As with many connections: `select` takes no number above 1,023."""
    path = tmp_path / "data.csv"
    path.write_bytes(as_csv(DATA))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(4096, before[1])), before[1]))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    assert (await run(path)).counts["records"] == len(DATA)
    for file_number in files:
        os.close(file_number)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert at_once


async def test_what_is_compressed_stays_here(tmp_path: Path, at_once: list[apart.ApartBlocks]) -> None:
    """It could not be gone on with in its middle."""
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress(as_csv(DATA)))
    assert (await run(path)).counts["records"] == len(DATA)
    assert not at_once


async def test_its_death_is_named(tmp_path: Path, at_once: list[apart.ApartBlocks]) -> None:
    path = tmp_path / "never ends"
    os.mkfifo(path)
    feed = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    async def write() -> None:
        while True:
            with suppress(BlockingIOError):
                os.write(feed, as_jsonl(DATA[:50]))
            await trio.sleep(0.001)

    def kill(report: Report) -> None:
        if at_once and (process := at_once[0]._process) is not None:
            os.kill(process.pid, signal.SIGKILL)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        async with open_records(path, **OPTIONS) as records:
            trainer = Trainer(records.model(seed=0), Adam(0.01), executor="inline")
            with pytest.raises(WorkerError, match="exit code -9"):
                await trainer.run(records, on_report=kill)
        nursery.cancel_scope.cancel()
    os.close(feed)


async def test_where_it_cannot_start_all_stays_here(
    tmp_path: Path, at_once: list[apart.ApartBlocks], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(as_jsonl(DATA))
    monkeypatch.setattr(apart, "START", "raise SystemExit(3)")
    found = await run(path)
    assert len(at_once) == 1
    monkeypatch.setattr(apart, "processors", lambda: 1)
    assert found == await run(path)


async def test_a_run_that_is_cancelled_ends_it(tmp_path: Path, at_once: list[apart.ApartBlocks]) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(as_jsonl(DATA))
    pids: list[int] = []
    with trio.CancelScope() as scope:
        async with open_records(path, **OPTIONS) as records:
            trainer = Trainer(records.model(seed=0), Adam(0.01), executor="inline")

            def stop(report: Report) -> None:
                if at_once and at_once[0]._process is not None:
                    pids.append(at_once[0]._process.pid)
                    scope.cancel()

            await trainer.run(records, on_report=stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
