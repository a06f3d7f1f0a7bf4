"""`recurrio train --serve`: a run that is asked from outside, and ends when it is told to, whoever still listens."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.in_process import run_here

pytest.importorskip("h11", reason="needs recurrio[serve]")
pytest.importorskip("prometheus_client", reason="needs recurrio[serve]")

TRAIN = [sys.executable, "-c", "from recurrio.pipeline.command.cli import main; main()", "train"]
NAMED = ["--key", "k", "--features", "x", "--target", "x@+1", "--hidden", "4", "--out", "a run"]


@contextmanager
def running(where: Path, *words: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run over what is written to its standard input, and where it is served."""
    run = subprocess.Popen(
        [*TRAIN, "-", *NAMED, "--serve", "127.0.0.1:0", *words],
        cwd=where,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert run.stdin is not None
    assert run.stdout is not None
    try:
        for number in range(200):
            run.stdin.write(json.dumps({"k": f"k{number % 3}", "x": number % 7}) + "\n")
        run.stdin.flush()
        for line in run.stdout:
            if found := re.search(r"http://\S+", line):
                yield run, found[0]
                break
    finally:
        run.kill()
        run.communicate()


def ask(url: str, path: str, body: bytes | None = None, token: str = "") -> bytes:
    request = urllib.request.Request(url + path, body, {"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: bytes = answer.read()
        return found


def until_ready(url: str, token: str = "") -> None:
    for _ in range(500):
        try:
            ask(url, "/readyz", token=token)
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("it never was ready")


def test_it_is_asked_and_ends_at_ctrl_c_whoever_still_listens(tmp_path: Path) -> None:
    with running(tmp_path, "--checkpoint-every", "5") as (run, url):
        until_ready(url)
        assert json.loads(ask(url, "/predict", b'{"k":"k1","x":3}'))["prediction"] is not None
        port = int(url.rpartition(":")[2])
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(70)]  # more than there is room for
        for client in clients[:5]:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")  # and nobody reads
        for client in clients[5:10]:
            client.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf")
        time.sleep(0.3)
        status = json.loads(ask(url, "/status"))
        assert status["checkpoint"]["step"] is not None
        start = time.monotonic()
        run.send_signal(signal.SIGINT)
        assert run.wait(20) == 130
        assert time.monotonic() - start < 5
        for client in clients:
            client.close()
    assert (tmp_path / "a run" / "model.safetensors").exists()


def test_with_a_token_it_answers_who_knows_it(tmp_path: Path) -> None:
    with running(tmp_path, RECURRIO_TOKEN="a token of the environment") as (_, url):
        until_ready(url)
        assert json.loads(ask(url, "/status", token="a token of the environment"))["step"]
        with pytest.raises(OSError, match="401"):
            ask(url, "/status", token="another")


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text("".join(f'{{"k":"a","x":{number}}}\n' for number in range(50)))
    Path("short").write_text("short\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words, expected in (
            (["--serve", f"127.0.0.1:{port}"], f"--serve 127.0.0.1:{port}: expected an address that is free"),
            (["--serve", "0.0.0.0:0"], "expected a token for other machines"),
            (["--serve", "nonsense"], "expected host:port, as 127.0.0.1:8080, got nonsense"),
            (["--serve", "127.0.0.1:0", "--token", "short"], "expected at least 16 printable characters, got 5"),
            (["--serve", "127.0.0.1:0", "--token", "no such file"], "no such file: No such file"),
        ):
            done = run_here("train", "x.jsonl", *NAMED, "--overwrite", *words)
            assert done.code != 0
            assert expected in done.errors, done.errors
            assert done.errors.count("\n") == 1
    assert run_here("train", "x.jsonl", *NAMED, "--overwrite", "--serve", "127.0.0.1:0").code == 0


def test_without_the_extra_it_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.jsonl").write_text('{"k":"a","x":1}\n')
    for name in [name for name in sys.modules if name.startswith("recurrio.pipeline.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "h11", None)
    done = run_here("train", "x.jsonl", *NAMED, "--serve", "127.0.0.1:0")
    assert "--serve needs h11: pip install 'recurrio[serve]'" in done.errors
