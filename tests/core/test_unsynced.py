"""What could not be synced is not taken for synced at the second try, as the system would."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from recurrio.core.base.line_file import LineFile
from recurrio.pipeline.sources import journal
from recurrio.pipeline.sources.journal import Journal


class Disk:
    """A system whose sync may fail: what it could not write then is clean, and gone, until it is written again."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.fails = False
        self.lost: dict[int, bytearray] = {}  # which bytes of a file, by its inode
        self.synced: dict[int, int] = {}  # how many bytes of it were said to be on the disk
        self._fsync, self._pwrite = os.fsync, os.pwrite
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "pwrite", self.pwrite)

    def fsync(self, descriptor: int) -> None:
        found = os.fstat(descriptor)
        lost = self.lost.setdefault(found.st_ino, bytearray())
        if self.fails:
            start = self.synced.get(found.st_ino, 0)
            self.lost[found.st_ino] = bytearray(start) + b"\1" * (found.st_size - start)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        assert not any(lost), "what is lost was said to be on the disk"
        self.synced[found.st_ino] = found.st_size

    def pwrite(self, descriptor: int, data: bytes, place: int) -> int:
        count = self._pwrite(descriptor, data, place)
        self.lost[os.fstat(descriptor).st_ino][place : place + count] = bytes(count)
        return count


Append = tuple[Callable[[bytes], object], Callable[[], Callable[[], None] | None], Callable[[], None]]


def lines(folder: Path, patch: pytest.MonkeyPatch) -> Append:
    file = LineFile(folder / "lines")
    return file.write, file.sync, file.close


def rotated_lines(folder: Path, patch: pytest.MonkeyPatch) -> Append:
    file = LineFile(folder / "lines", rotate=100)
    return file.write, file.sync, file.close


def entries(folder: Path, patch: pytest.MonkeyPatch) -> Append:
    found = Journal(folder / "journal")
    return found.append, found.sync, found.close


def short_segments(folder: Path, patch: pytest.MonkeyPatch) -> Append:
    patch.setattr(journal, "SEGMENT", 100)
    return entries(folder, patch)


KINDS = [lines, rotated_lines, entries, short_segments]


def tried(work: Callable[[], None] | None) -> bool:
    assert work is not None
    try:
        work()
    except OSError as error:
        if error.errno != errno.EIO or not error.filename:
            raise
        return False
    return True


@pytest.fixture(params=KINDS)
def appended(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Append, Disk]:
    return request.param(tmp_path, monkeypatch), Disk(monkeypatch)


def test_what_could_not_be_synced_is_written_again(appended: tuple[Append, Disk], tmp_path: Path) -> None:
    (append, sync, close), disk = appended
    before = len(os.listdir("/proc/self/fd"))
    for number in range(40):
        append(b"%05d\n" % number)
        disk.fails = number % 5 in {2, 3}
        assert tried(sync()) is not disk.fails
    disk.fails = False
    assert tried(sync())
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_ino: path.stat().st_size for path in files}.items() <= disk.synced.items()
    assert len(os.listdir("/proc/self/fd")) <= before + 1
    close()
    assert b"".join(path.read_bytes() for path in sorted(files)).count(b"\n") == 40


def test_an_error_that_another_was_told_of_is_no_success(appended: tuple[Append, Disk]) -> None:
    (append, sync, close), disk = appended
    append(b"00000\n")
    disk.fails = True
    one, other = sync(), sync()
    assert not tried(one)
    disk.fails = False
    assert tried(other)
    close()


def test_two_may_sync_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LineFile(tmp_path / "lines", rotate=100) as file:
        Disk(monkeypatch)
        done: list[bool] = []
        threads = []
        for number in range(200):
            file.write(b"%05d\n" % number)
            threads.append(Thread(target=lambda work: done.append(tried(work)), args=[file.sync()]))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert len(done) == 200
        assert all(done)


def test_a_journal_whose_folder_has_gone_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "SEGMENT", 40)
    folder = tmp_path / "run" / "journal"
    found = Journal(folder)
    for number in range(5):
        found.append(b"%05d" % number)
    (tmp_path / "run").rename(tmp_path / "gone")
    for path in [*(tmp_path / "gone" / "journal").iterdir()]:
        path.unlink()
    (tmp_path / "gone" / "journal").rmdir()
    work = found.sync()
    assert work is not None
    with pytest.raises(FileNotFoundError, match="journal"):
        work()
    found.append(b"00005")
    assert tried(found.sync())
    last = [data for _, data in found.read(found.first)]
    assert last == [b"%05d" % number for number in range(6)][-len(last) :]
    assert len(last) >= 2
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    found.close()
    again = Journal(folder)
    assert [data for _, data in again.read(again.first)] == last
