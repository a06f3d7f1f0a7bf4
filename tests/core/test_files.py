"""Files are written whole or not at all, with the mode that is expected, and where their name leads."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recurrio.core import save_weights
from recurrio.core.base.files import replace_file, try_file, write_file
from recurrio.pipeline import Timeline

CONTENT = [b"some ", memoryview(b"content")]
REPLACING: dict[str, Callable[[Path], None]] = {
    "replace_file": lambda path: replace_file(path, CONTENT),
    "write_file": lambda path: write_file(path, CONTENT),
    "save_weights": lambda path: save_weights(path, {}),
}
# What writes a file that a user names.
NAMED: dict[str, Callable[[Path], None]] = {
    "write_file": lambda path: write_file(path, CONTENT),
    "write_trace": Timeline().write_trace,
    "write_svg": Timeline().write_svg,
}
each_replacing = pytest.mark.parametrize("write", REPLACING.values(), ids=REPLACING.keys())
each_named = pytest.mark.parametrize("write", NAMED.values(), ids=NAMED.keys())


@pytest.fixture(params=[0o022, 0o077, 0o002])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@each_replacing
def test_a_new_file_has_the_mode_that_the_umask_says(write: Callable[[Path], None], umask: int, tmp_path: Path) -> None:
    write(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


@each_replacing
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o444])
def test_a_file_that_was_there_keeps_its_mode(write: Callable[[Path], None], mode: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(mode)
    write(tmp_path / "file")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert (tmp_path / "file").stat().st_size > 0
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [replace_file, write_file])
def test_a_write_that_fails_leaves_what_was_there(
    write: Callable[[Path, Iterator[bytes]], None], tmp_path: Path
) -> None:
    def content() -> Iterator[bytes]:
        yield b"half"
        raise OSError(28, "No space left on device")

    (tmp_path / "file").write_bytes(b"old")
    for name in ("file", "none"):
        with pytest.raises(OSError, match="No space left"):
            write(tmp_path / name, content())
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_nobody_can_read_meanwhile_what_the_old_mode_keeps_from_him(tmp_path: Path) -> None:
    def content() -> Iterator[bytes]:
        (part,) = tmp_path.glob(".file.*")
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
        yield b"secret"

    (tmp_path / "file").touch(0o600)
    replace_file(tmp_path / "file", content())


def test_a_name_of_the_longest_length(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127)
    replace_file(path, CONTENT)
    assert path.read_bytes() == b"some content"


@each_named
@pytest.mark.parametrize("there", [True, False])
def test_a_symbolic_link_is_followed(write: Callable[[Path], None], there: bool, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    target = tmp_path / "folder" / "target"
    if there:
        target.touch(0o640)
    (tmp_path / "link").symlink_to("folder/target")
    try_file(tmp_path / "link")
    write(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "folder/target"
    assert target.stat().st_size > 0
    assert stat.S_IMODE(target.stat().st_mode) == (0o640 if there else 0o644)


def test_a_link_is_replaced_by_what_is_not_named_by_a_user(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("target")
    replace_file(tmp_path / "link", CONTENT)
    assert (tmp_path / "target").read_bytes() == b"mine"
    assert not (tmp_path / "link").is_symlink()


@each_named
def test_a_pipe_is_written_to(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    try_file(path)  # does not wait for a reader
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(path.read_bytes()))
    reader.start()
    write(path)
    reader.join(30)
    assert received[0]
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@each_named
@pytest.mark.parametrize("linked", [True, False])
def test_a_device_is_written_to(write: Callable[[Path], None], linked: bool, tmp_path: Path) -> None:
    path = tmp_path / "null"
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")
    (tmp_path / "link").symlink_to("null")
    name = tmp_path / "link" if linked else path
    try_file(name)
    write(name)
    assert stat.S_ISCHR(path.stat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "null"]


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout")
@pytest.mark.parametrize("named", [True, False])
def test_the_file_that_standard_output_goes_to_is_not_cut_off(named: bool, tmp_path: Path) -> None:
    path = tmp_path / "output"
    code = "import os, sys; from recurrio.core.base.files import try_file, write_file; os.write(1, b'before ')"
    code += "; try_file(sys.argv[1]); write_file(sys.argv[1], [b'content']); os.write(1, b' after')"
    words = [sys.executable, "-c", code, str(path) if named else "/dev/stdout"]
    with path.open("wb") as file:
        subprocess.run(words, stdout=file, check=True, timeout=60)
    assert path.read_bytes() == b"before content after"
    assert os.listdir(tmp_path) == ["output"]


def test_trying_says_what_would_fail_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    for name in ("file", "none"):
        try_file(tmp_path / name)
    with pytest.raises(IsADirectoryError):
        try_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        try_file(tmp_path / "no folder" / "file")
    with pytest.raises(NotADirectoryError):
        try_file(tmp_path / "file" / "file")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]
