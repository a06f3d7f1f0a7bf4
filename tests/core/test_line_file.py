"""A file of lines: rotated, cut back to where it was, and kept whole where the disk is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurrio.core.base.line_file import LineFile

LINES = st.lists(st.text("abc", max_size=12).map(lambda text: text.encode() + b"\n"), max_size=30)


def content(path: Path) -> list[bytes]:
    """The bytes of the files that are full, and of the last one."""
    found, number = [], 1
    while (full := path.with_name(f"{path.name}.{number}")).exists():
        found.append(full.read_bytes())
        number += 1
    return [*found, path.read_bytes()]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, pieces=st.lists(st.integers(0, 30)), rotate=st.none() | st.integers(1, 40), cut=st.integers(0, 30))
def test_what_is_written_is_that_of_the_lines_alone(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], pieces: list[int], rotate: int | None, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    whole, parts = folder / "whole", folder / "parts"
    with LineFile(whole, rotate=rotate) as file:
        for line in lines:
            file.write(line)
    cut = min(cut, len(lines))
    with LineFile(parts, rotate=rotate) as file:
        file.write(b"".join(lines[:cut]))
        position = file.position()
        file.sync()()
        for start in pieces:  # what a run wrote before it was killed
            file.write(b"".join(lines[cut : cut + start]))
    with LineFile(parts, position, rotate) as file:
        file.write(b"".join(lines[cut:]))
    assert content(parts) == content(whole)
    assert b"".join(content(whole)) == b"".join(lines)
    assert all(len(full) >= rotate for full in content(whole)[:-1] if rotate is not None)


def test_another_file_begins_anew(tmp_path: Path) -> None:
    with LineFile(tmp_path / "one") as file:
        file.write(b"a\n")
        position = file.position()
    with LineFile(tmp_path / "two", position) as file:
        file.write(b"b\n")
    assert (tmp_path / "two").read_bytes() == b"b\n"


def test_a_file_that_has_become_shorter_is_not_gone_on_with(tmp_path: Path) -> None:
    with LineFile(tmp_path / "one") as file:
        file.write(b"abc\n")
        position = file.position()
    (tmp_path / "one").write_bytes(b"ab")
    with pytest.raises(OSError, match="has 2 bytes, and had 4 when the checkpoint was made"):
        LineFile(tmp_path / "one", position)


def test_a_device_has_no_position(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with LineFile(tmp_path / "pipe", rotate=1) as file:
            file.write(b"a\nb\n")
            assert file.position() is None
            file.sync()()
        assert os.read(reader, 10) == b"a\nb\n"
    finally:
        os.close(reader)


class Full:
    """A file on a disk that is full after so many bytes, until it is not."""

    def __init__(self, file: object, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count: int = self.file.write(data[: self.room])  # type: ignore[attr-defined]
        self.room -= count
        return count

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


@pytest.mark.parametrize("rotate", [None, 7])
@pytest.mark.parametrize("room", range(12))
def test_a_full_disk_loses_nothing(tmp_path: Path, room: int, rotate: int | None) -> None:
    lines = [b"one\n", b"twenty\n", b"three hundred\n", b"4\n"]
    with LineFile(tmp_path / "whole", rotate=rotate) as file:
        file.write(b"".join(lines))
    with LineFile(tmp_path / "file", rotate=rotate) as file:
        full = Full(file._file, room)
        file._file = full  # type: ignore[assignment]
        for line in lines[:3]:
            file.write(line)
        held = file._file is full and len(b"".join(lines[:3])) > room
        if held:
            with pytest.raises(OSError, match="could not be written"):
                file.sync()()
        full.room = 1 << 20
        file.write(lines[3])
        file.sync()()
    assert content(tmp_path / "file") == content(tmp_path / "whole")


def test_what_cannot_be_written_in_the_end_is_an_error(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "file")
    file._file = Full(file._file, 2)  # type: ignore[assignment]
    file.write(b"abcd\n")
    with pytest.raises(OSError, match="3 bytes could not be written"):
        file.close()
