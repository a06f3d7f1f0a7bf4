"""Standard streams as they come: closed, full, without a reader, or with one that has stopped reading."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command import without_notice

from recurrio.core import TextModel

SMALL = ["--hidden", "16", "--embedding", "8", "--batch-size", "4", "--seq-len", "16"]
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
Recurrio = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]


def shell(line: str, *arguments: object) -> tuple[int, str, str]:
    """Run a line of shell, in which ``"$@"`` is the command with these arguments: exit code, output, errors."""
    words = ["sh", "-c", line, "sh", sys.executable, "-c", MAIN, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), without_notice(done.stderr).decode()


def fill(process: subprocess.Popen[bytes], reader: int) -> None:
    """Wait until the pipe behind `reader` holds as much as it can, and the process waits."""
    waiting, deadline = -1, time.monotonic() + 30
    while True:
        before, waiting = waiting, struct.unpack("i", fcntl.ioctl(reader, termios.FIONREAD, b"\0" * 4))[0]
        if waiting == before and waiting > 32_000:
            return
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "code", "executor", "both"),
    [
        (signal.SIGINT, 130, "thread", False),
        (signal.SIGTERM, 143, "inline", True),
        (signal.SIGHUP, 129, "process", False),
    ],
)
def test_a_reader_that_stops_keeps_no_signal_waiting(
    number: int, code: int, executor: str, both: bool, start: Start, text_file: Path, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    words = ["train", text_file, *SMALL, "--steps", 1000000, "--json", "--executor", executor, "--out", tmp_path]
    process = start(*words, stdout=writer, stderr=writer if both else subprocess.DEVNULL)
    os.close(writer)
    try:
        fill(process, reader)
        process.send_signal(number)
        assert process.wait(timeout=10) == code  # in good order, but it does not wait for ever
    finally:
        os.close(reader)
    TextModel.load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("words", [["train", "--json", "--steps", 1000000], ["generate", "--length", 1000000]])
def test_a_second_signal_ends_a_write_that_blocks(
    words: list[object], start: Start, recurrio: Recurrio, text_file: Path, tmp_path: Path
) -> None:
    recurrio("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path / "run")
    first = [text_file, *SMALL, "--out", tmp_path / "out"] if words[0] == "train" else [tmp_path / "run"]
    took = []
    for attempt in range(3):
        reader, writer = os.pipe()
        again = ["--overwrite"] if attempt and words[0] == "train" else []
        process = start(words[0], *first, *words[1:], *again, stdout=writer)
        os.close(writer)
        try:
            fill(process, reader)
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
            begin = time.monotonic()
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=10) == 130
        finally:
            os.close(reader)
        took.append(time.monotonic() - begin)
        if took[-1] < 0.2:
            break
    assert min(took) < 0.2


def test_a_reader_that_is_slow_gets_every_line(start: Start, text_file: Path, tmp_path: Path) -> None:
    process = start("train", text_file, *SMALL, "--steps", 150, "--json", "--out", tmp_path)
    fill(process, process.stdout.fileno())
    output, _ = process.communicate(timeout=30)
    assert [json.loads(line)["step"] for line in output.splitlines()] == list(range(1, 151))
    assert process.returncode == 0


def test_what_takes_long_after_a_signal_is_still_written(start: Start, text_file: Path, tmp_path: Path) -> None:
    slow = """
import os, time
real = os.fsync
os.fsync = lambda descriptor: (os.write(1, b"there\\n"), time.sleep(1.2), real(descriptor))
"""
    words = ["train", text_file, *SMALL, "--steps", 9, "--out", tmp_path / "out", "--trace", tmp_path / "trace.json"]
    process = start(*words, prelude=slow)
    while process.stdout.readline() != b"there\n":
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, b"")
    assert b"interrupted: 9 steps" in output  # whose reader has been there all the time
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]


@pytest.mark.parametrize("option", ["--trace", "--timeline"])
def test_a_pipe_that_nobody_reads_keeps_no_signal_waiting(
    option: str, start: Start, text_file: Path, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ["train", text_file, *SMALL, "--steps", 9, "--out", tmp_path / "out", option, tmp_path / "pipe"]
    process = start(*words, prelude="import recurrio.pipeline.command.signals as module; module.FILE_PATIENCE = 0.5")
    deadline = time.monotonic() + 30
    while not (tmp_path / "out" / "model.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 143


@pytest.mark.parametrize("options", [["--json"], []])
def test_output_that_is_closed_early_ends_it_cleanly(
    options: list[str], start: Start, text_file: Path, tmp_path: Path
) -> None:
    process = start("train", text_file, *SMALL, "--steps", 1000000, "--out", tmp_path, *options)
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in errors
    assert "Exception ignored" not in errors
    TextModel.load(tmp_path / "model.safetensors")


def test_generate_into_a_closed_pipe(start: Start, recurrio: Recurrio, text_file: Path, tmp_path: Path) -> None:
    recurrio("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path)
    process = start("generate", tmp_path, "--length", 1000000)
    process.stdout.read(10)
    process.stdout.close()
    assert without_notice(process.stderr.read()) == b""
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-"])
def test_there_is_nothing_but_json_among_the_json(closed: str, text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, *SMALL, "--steps", 5, "--json", "--out", tmp_path]
    code, output, _ = shell(f'"$@" {closed}', *words)
    assert code == 0
    assert [json.loads(line)["step"] for line in output.splitlines()] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_number_of_a_stream_that_was_closed(closed: str, text_file: Path, tmp_path: Path) -> None:
    words = ["train", text_file, *SMALL, "--steps", 50, "--executor", "process", "--out", tmp_path / "out"]
    assert shell(f'"$@" {closed}', *words)[0] == 0
    assert len(TextModel.load(tmp_path / "out" / "model.safetensors").vocabulary) > 9
    assert sorted(os.listdir(tmp_path / "out")) == [".lock", "checkpoints", "history.safetensors", "model.safetensors"]


def test_a_model_that_cannot_be_written_is_named(start: Start, text_file: Path, tmp_path: Path) -> None:
    full = """
import os
def full(descriptor):
    raise OSError(28, "No space left on device")
os.fsync = full
"""
    process = start("train", text_file, *SMALL, "--steps", 9, "--out", tmp_path / "out", prelude=full)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    said = errors.decode().splitlines()
    assert said[0].startswith("recurrio: warning: the checkpoint of step 9 was not written: ")
    assert said[1].startswith(f"recurrio: {tmp_path}/out/model.safetensors: No space left on device; nor in ")
    assert not (tmp_path / "out/model.safetensors").exists()


def test_a_closed_standard_output_is_no_place_for_a_text(start: Start, text_file: Path, tmp_path: Path) -> None:
    start("train", text_file, *SMALL, "--steps", 1, "--out", tmp_path / "out").wait(timeout=30)
    command = [
        sys.executable,
        "-c",
        "from recurrio.pipeline.command.cli import main; main()",
        "generate",
        tmp_path / "out",
    ]
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *map(str, command)], capture_output=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, b"recurrio: standard output: is closed")


def test_a_connection_that_is_reset_is_named(start: Start, tmp_path: Path) -> None:
    with socket.create_server(("localhost", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closing resets it
        process = start("train", "-", *SMALL, "--out", tmp_path / "out", stdin=theirs)
        ours.send(b"to be or not to be")
        assert process.stdout.readline().startswith(b"reading standard input")
        ours.close()
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (1, b"recurrio: standard input: Connection reset by peer\n")


FAILING = {
    "a closed input": ('"$@" <&-', ["train", "-"], "recurrio: standard input: is closed"),
    "a full disk": ('"$@" > /dev/full', ["train", "text.txt"], "recurrio: standard output: No space left on device"),
    "help to a full disk": ('"$@" > /dev/full', ["--help"], "recurrio: standard output: No space left on device"),
    "version to a full disk": ('"$@" > /dev/full', ["--version"], "recurrio: standard output: No space left"),
    "generate to a full disk": ('"$@" > /dev/full', ["generate", "run"], "recurrio: standard output: No space left"),
    "a device as model": ('"$@"', ["generate", "/dev/null"], "recurrio: /dev/null: not a safetensors file"),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("case", FAILING)
def test_an_error_names_what_failed_in_one_line(
    case: str, recurrio: Recurrio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("some words " * 400)
    recurrio("train", "text.txt", *SMALL, "--steps", 1)
    line, words, message = FAILING[case]
    code, _, errors = shell(line, *words)
    assert code == 1
    assert len(errors.splitlines()) == 1
    assert message in errors
