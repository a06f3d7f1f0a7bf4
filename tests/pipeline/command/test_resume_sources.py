"""Killed and started again, in other processes: a socket, events with ids, and Python's own hash seeds."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.in_process import run_here
from support.states import differing
from support.streams import as_jsonl, make_data

from recurrio.pipeline.checkpoint import CheckpointStore

DATA = as_jsonl(make_data(1200, 9))
LINES = DATA.splitlines(keepends=True)
RECORDS = ["--key", "k", "--features", "x,c:category", "--target", "x@+1", "--hidden", "5", "--batch-size", "6"]
RECORDS += ["--seq-len", "4", "--checkpoint-every", "5", "--predictions", "predictions"]
COMMAND = [sys.executable, "-c", "from recurrio.pipeline.command.cli import main; main()", "train"]
KILLED = -signal.SIGKILL


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.jsonl").write_bytes(DATA)
    yield
    for process in STARTED:
        with process:
            process.kill()
    STARTED.clear()


def start(source: str, *words: str, seed: int = 0) -> subprocess.Popen[bytes]:
    """The command in a process."""
    given = [*COMMAND, source, *RECORDS, "--out", "run", "--resume", *words]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    process = subprocess.Popen(
        given, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    STARTED.append(process)
    return process


def until_predicted(process: subprocess.Popen[bytes], count: int) -> None:
    """Wait until there are so many lines of predictions."""
    path, late = Path("predictions"), time.monotonic() + 30
    while not (path.exists() and path.read_bytes().count(b"\n") >= count):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < late, path.exists() and path.read_bytes().count(b"\n")
        time.sleep(0.002)


def end(process: subprocess.Popen[bytes], number: signal.Signals | None = None) -> tuple[int, str]:
    """The exit code, after that signal, and what it said."""
    if number is not None:
        process.send_signal(number)
    errors = process.communicate(timeout=30)[1]
    return process.returncode, errors.decode()


def expected() -> bytes:
    """The predictions of an uninterrupted run over the file."""
    assert run_here("train", "records.jsonl", *RECORDS, "--out", "whole", "--executor", "inline").code == 0
    data = Path("predictions").read_bytes()
    Path("predictions").unlink()
    return data


def test_another_hash_seed_is_the_same_run() -> None:
    words = ["--shards", "2", "--executor", "inline"]
    whole = start("records.jsonl", *words, seed=1)
    assert end(whole)[0] == 0
    predictions, state = Path("predictions").read_bytes(), CheckpointStore("run/checkpoints").newest()
    Path("run").rename("first")
    Path("predictions").unlink()
    for seed, count in enumerate((300, 700), 2):
        process = start("records.jsonl", *words, seed=seed)
        until_predicted(process, count)
        assert end(process, signal.SIGKILL)[0] in (KILLED, 0)
    assert end(start("records.jsonl", *words, seed=4))[0] == 0
    assert Path("predictions").read_bytes() == predictions
    found = CheckpointStore("run/checkpoints").newest()
    assert found is not None
    assert state is not None
    assert (found.step, differing(found.part, state.part)) == (state.step, [])


def send(lines: list[bytes]) -> None:
    """Send these to the socket ``s``, once somebody listens there."""
    late = time.monotonic() + 30
    with socket.socket(socket.AF_UNIX) as stream:
        while True:
            try:
                stream.connect("s")
                break
            except OSError:
                assert time.monotonic() < late
                time.sleep(0.01)
        stream.sendall(b"".join(lines))
        stream.shutdown(socket.SHUT_WR)


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no such sockets here")
def test_a_socket_that_was_left_behind() -> None:
    whole = expected()
    process = start("unix:s", "--format", "jsonl")
    send(LINES[:500])
    until_predicted(process, 500)
    assert end(process, signal.SIGKILL)[0] == KILLED
    assert Path("s").is_socket()
    process = start("unix:s", "--format", "jsonl")
    send(LINES[500:])
    until_predicted(process, len(LINES))
    second = subprocess.run(
        [*COMMAND, "unix:s", *RECORDS[:-2], "--format", "jsonl", "--out", "other"],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (second.returncode, b"another process listens there" in second.stderr) == (1, True), second.stderr
    assert end(process, signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert [json.loads(line) for line in Path("predictions").read_bytes().splitlines()] == [
        json.loads(line) for line in whole.splitlines()
    ]
    Path("s").write_text("mine")
    code, said = end(start("unix:s", "--format", "jsonl"))
    assert code == 1, said
    assert Path("s").read_text() == "mine"


class Events(http.server.BaseHTTPRequestHandler):
    """Numbered events, 100 in each answer, behind the last id that is asked for; and what was asked for."""

    asked: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Last-Event-ID")
        self.asked.append(asked)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        first = int(asked or 0)
        for number in range(first, min(first + 100, len(LINES))):
            self.wfile.write(b"id: %d\nretry: 5\ndata: %s\n\n" % (number + 1, LINES[number].strip()))
        if first >= len(LINES):
            time.sleep(0.5)

    def log_message(self, *arguments: object) -> None:
        """Nothing is to be written."""


@pytest.fixture
def events() -> Iterator[tuple[str, list[str | None]]]:
    asked: list[str | None] = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Server", (Events,), {"asked": asked})) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/events", asked
        server.shutdown()


def test_events_go_on_behind_the_last_one(events: tuple[str, list[str | None]]) -> None:
    whole = expected()
    address, asked = events
    for count in (250, 800):
        process = start(address, "--format", "jsonl")
        until_predicted(process, count)
        assert end(process, signal.SIGKILL)[0] == KILLED
        asked.append("killed")
    process = start(address, "--format", "jsonl")
    until_predicted(process, len(LINES))
    assert end(process, signal.SIGTERM)[0] == 128 + signal.SIGTERM
    assert [json.loads(line) for line in Path("predictions").read_bytes().splitlines()] == [
        json.loads(line) for line in whole.splitlines()
    ]
    assert asked[0] is None
    assert None not in asked[1:]  # a run that goes on asks for what comes behind what is journaled
