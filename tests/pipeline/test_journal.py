"""A journal: what was appended is there again, whole, or an error names the file."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurrio.pipeline import SourceError
from recurrio.pipeline.sources import journal as module
from recurrio.pipeline.sources.journal import Journal


def fill(folder: Path, entries: list[bytes]) -> Journal:
    journal = Journal(folder)
    for entry in entries:
        half = len(entry) // 2
        journal.append(entry[:half], entry[half:])
    return journal


def entries_of(folder: Path, start: int = 0) -> list[bytes]:
    return [data for _, data in Journal(folder).read(start)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(st.binary(max_size=40), max_size=30),
    segment=st.integers(1, 200),
    stops=st.lists(st.integers(0, 30), max_size=3),
    start=st.integers(0, 30),
)
def test_entries_come_again(
    tmp_path_factory: pytest.TempPathFactory, entries: list[bytes], segment: int, stops: list[int], start: int
) -> None:
    folder = tmp_path_factory.mktemp("journal") / "one"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SEGMENT", segment)
        done = 0
        for stop in [*sorted(stops), len(entries)]:  # each in another process
            fill(folder, entries[done:stop]).close()
            done = max(done, min(stop, len(entries)))
        assert entries_of(folder) == entries
        start = min(start, len(entries))
        assert entries_of(folder, start) == entries[start:]
        journal = Journal(folder)
        journal.forget(start)
        journal.remove()
        assert journal.first <= start
        assert [data for _, data in journal.read(start)] == entries[start:]
        assert journal.size == sum(path.stat().st_size for path in folder.glob("*"))


def entries_or_error(segment: Path) -> list[bytes] | None:
    """What is there; None where an error names the file."""
    try:
        return entries_of(segment.parent)
    except SourceError as error:
        if str(segment) not in str(error):
            raise
        return None


ENTRIES = [b"one", b"", b"three hundred", b"\0" * 20, b"5"]


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    fill(tmp_path / "journal", ENTRIES).close()
    (path,) = (tmp_path / "journal").iterdir()
    return path


def test_cut_off_anywhere_it_is_a_prefix(segment: Path) -> None:
    data, ends = segment.read_bytes(), [0]
    for entry in ENTRIES:
        ends.append(ends[-1] + 12 + len(entry))
    for length in range(len(data) + 1):
        segment.write_bytes(data[:length])
        found = entries_of(segment.parent)
        assert found == ENTRIES[: sum(end <= length for end in ends) - 1]
        fill(segment.parent, [b"more"]).close()
        assert entries_of(segment.parent) == [*found, b"more"]


def test_every_bit_that_is_flipped_is_noticed(segment: Path) -> None:
    data = segment.read_bytes()
    last = len(data) - 12 - len(ENTRIES[-1])
    for place in range(len(data)):
        for bit in range(8):
            segment.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            found = entries_or_error(segment)
            assert found is None or (found == ENTRIES[:-1] and place >= last)


def test_subsets_of_what_was_not_synced(segment: Path) -> None:
    """After a loss of power a part of what was written is there, and the rest are zeros."""
    data, rng = segment.read_bytes(), random.Random(1)
    for _ in range(1500):
        cut = bytearray(data[: rng.randrange(len(data) + 1)])
        for _ in range(rng.randrange(3)):
            start = rng.randrange(len(cut) + 1)
            stop = min(len(cut), start + rng.randrange(30))
            cut[start:stop] = bytes(stop - start)
        segment.write_bytes(cut)
        found = entries_or_error(segment)
        assert found is None or found == ENTRIES[: len(found)]


def test_what_is_damaged_can_be_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 20)
    fill(tmp_path / "journal", ENTRIES).close()
    paths = sorted((tmp_path / "journal").iterdir())
    paths[1].write_bytes(b"x" * paths[1].stat().st_size)
    with pytest.raises(SourceError, match="damaged at byte 0; --allow-gap"):
        entries_of(tmp_path / "journal")
    assert Journal(tmp_path / "journal", allow_gap=True).gaps == 1
    found = entries_of(tmp_path / "journal")
    assert found == ENTRIES[: len(found)]
    fill(tmp_path / "journal", [b"more"]).close()
    assert entries_of(tmp_path / "journal") == [*found, b"more"]


def test_no_link_is_followed(segment: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(segment, elsewhere)
    segment.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"):
        Journal(segment.parent)
    os.symlink(tmp_path / "journal", tmp_path / "link")
    with pytest.raises(SourceError, match="is a link"):
        Journal(tmp_path / "link")


def test_an_entry_that_cannot_be_written_is_none(segment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal, real = Journal(segment.parent), os.writev

    def half(fd: int, parts: list[bytes]) -> int:
        monkeypatch.setattr(os, "writev", full)
        return real(fd, [parts[0][:5]])

    def full(fd: int, parts: list[bytes]) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", half)
    with pytest.raises(OSError, match="No space"):
        journal.append(b"lost")
    monkeypatch.setattr(os, "writev", real)
    assert journal.append(b"there") == len(ENTRIES)
    journal.close()
    assert entries_of(segment.parent) == [*ENTRIES, b"there"]


def test_what_is_gone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SEGMENT", 20)
    journal = fill(tmp_path / "journal", ENTRIES)
    journal.forget(3)
    journal.remove()
    with pytest.raises(SourceError, match="expected to begin with one of its entries, 3 to 5, got 0"):
        list(journal.read(0))
    journal.close()
