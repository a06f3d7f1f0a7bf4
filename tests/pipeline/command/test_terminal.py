"""On a terminal: nothing is cut, nothing is broken, and the cursor stays."""

from __future__ import annotations

import fcntl
import math
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
LONG = "a folder with a name that is as long as they are/" * 3 + "out"
ESCAPE = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")
HIDE_CURSOR = "\x1b[?25l"


@contextmanager
def terminal(
    *words: object, columns: int = 80, rows: int = 24, **environment: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command on a terminal of this size: the process, and the terminal's other end."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    plain = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    options = {"env": {**plain, "TERM": "xterm-256color", **environment}, "start_new_session": True}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, **options) as process:
        os.close(theirs)
        try:
            yield process, ours
        finally:
            process.kill()
            os.close(ours)


def rest(ours: int) -> str:
    """All that comes until the other end is closed."""
    output = b""
    with suppress(OSError):  # so the end shows
        while data := os.read(ours, 1 << 16):
            output += data
    return output.decode()


def run(*words: object, columns: int = 80, rows: int = 24, **environment: str) -> str:
    """What the command shows, run to its end."""
    with terminal(*words, columns=columns, rows=rows, **environment) as (process, ours):
        output = rest(ours)
        assert process.wait(timeout=30) == 0, output
        return output


@pytest.mark.parametrize("options", [[], ["--delay", "2", "--shards", "2"]])
@pytest.mark.parametrize("columns", [80, 100, 200])
def test_nothing_is_cut(options: list[str], columns: int, text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shown = run("train", text_file, *SMALL, *options, "--steps", 60, "--out", out, columns=columns, rows=50)
    assert "…" not in shown
    shown = ESCAPE.sub("", shown).replace("\r", "")
    assert all(name in shown for name in ("stage", "batches", "waits for input", "waits for room", "channel"))
    rows = re.findall(r"^(?:load|forward \d|backward \d|update) .*$", shown, re.MULTILINE)
    assert len(rows) >= 4
    for row in rows:
        assert len(re.findall(r"\d+%", row)) == 3, row
    assert all(len(line) <= columns for line in shown.splitlines() if "%" in line or "waits for" in line)


def test_the_loss_is_seen_on_a_low_terminal(text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, *SMALL, "--delay", 2, "--shards", 3, "--steps", 60, "--out", tmp_path / "out"]
    shown = ESCAPE.sub("", run(*words))
    assert "nats (mean of 50)" in shown
    assert "channel" not in shown


def test_a_long_path_is_one_line(text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / LONG
    shown = run("train", text_file, *SMALL, "--steps", 60, "--out", out)
    assert f"wrote {out}/model.safetensors" in shown


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"TERM": "unknown"},
        {"TERM": ""},
        {"COLUMNS": "0"},
        {"COLUMNS": "40"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=lambda environment: "=".join(*environment.items()),
)
def test_where_there_is_no_room_for_tables_there_are_plain_lines(
    environment: dict[str, str], text_file: Path, tmp_path: Path
) -> None:
    shown = run("train", text_file, *SMALL, "--steps", 60, "--out", tmp_path / "out", **environment)
    assert "\x1b" not in shown
    assert re.search(r"^step +1  loss ", shown, re.MULTILINE)
    assert "done: 60 steps" in shown


@pytest.mark.parametrize("signals", [0, 1, 2])
def test_the_cursor_stays_on_whatever_the_end(signals: int, text_file: Path, tmp_path: Path) -> None:
    steps = 1_000_000 if signals else 60
    words = ["train", text_file, *SMALL, "--hidden", 256, "--steps", steps, "--out", tmp_path / "out"]
    with terminal(*words) as (process, ours):
        shown = b""
        while b"waits" not in shown:
            shown += os.read(ours, 1 << 16)
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
        output = shown.decode("utf-8", "replace") + rest(ours)
        assert process.wait(timeout=30) == (130 if signals else 0)
    assert HIDE_CURSOR not in output


@pytest.fixture
def records_file(tmp_path: Path) -> Path:
    """Records of a few keys, of which one would be an order to the terminal."""
    path = tmp_path / "records.jsonl"
    keys = ["a", "b", r"\u001b[2J[red]c"]
    lines = [f'{{"k": "{keys[n % 3]}", "x": {math.sin(n / 5 + n % 3)}}}' for n in range(900)]
    path.write_text("\n".join([*lines, "junk"]) + "\n")
    return path


RECORDS = ["--key", "k", "--features", "x", "--target", "x@+1", "--hidden", "8"]


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_records_have_all_parts_and_no_line_is_too_wide(columns: int, records_file: Path, tmp_path: Path) -> None:
    shown = run("train", records_file, *RECORDS, "--out", tmp_path / "out", columns=columns, rows=50)
    assert "\x1b[2J" not in shown
    last = ESCAPE.sub("", shown[shown.rindex("\x1b[1A") :]).replace("\r", "").split("\ndone: ")[0]
    heads = ("forecasts", "source", "worst keys", "stage", "last ")
    assert all(re.search(rf"^{head}", last, re.MULTILINE) for head in heads), last
    assert all(part in last for part in ("901 records", " steps", "/s", "1 rejected", "3 keys", "load", "update"))
    assert re.search(r"^\\x1b\[2J\[red\]c", last, re.MULTILINE), last
    assert all(len(line) < columns for line in last.splitlines())


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"COLUMNS": "30"}], ids=str)
def test_records_are_plain_lines_where_there_is_no_room(
    environment: dict[str, str], records_file: Path, tmp_path: Path
) -> None:
    shown = run("train", records_file, *RECORDS, "--out", tmp_path / "out", **environment)
    assert "\x1b" not in shown
    assert re.search(r"^step +\d+  .*records.*records/s", shown, re.MULTILINE)


def test_records_without_colours(records_file: Path, tmp_path: Path) -> None:
    shown = run("train", records_file, *RECORDS, "--out", tmp_path / "out", NO_COLOR="1")
    assert "forecasts" in shown
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", shown)


def test_what_is_waited_for_is_said_and_a_resize_and_ctrl_c_leave_a_sane_terminal(tmp_path: Path) -> None:
    words = ["train", "tcp-listen://127.0.0.1:0", *RECORDS, "--out", tmp_path / "out"]
    with terminal(*words) as (process, ours):
        shown = b""
        while shown.count(b"waiting for the first record from") < 2:
            shown += os.read(ours, 1 << 16)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 44, 0, 0))
        shown = b""
        while b"\x1b[2J" not in shown:  # drawn anew, as broken lines begin nobody knows where
            shown += os.read(ours, 1 << 16)
        process.send_signal(signal.SIGINT)
        output = shown.decode() + rest(ours)
        assert process.wait(timeout=30) == 130
    assert HIDE_CURSOR not in output
    assert "\x1b[?1049h" not in output
    assert "interrupted before the first step" in output
