"""The demonstration: what it says is so, it says so where it is not, and it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
import trio
from support.command import without_notice

from recurrio.pipeline.command import demo
from recurrio.pipeline.command.beside import Came
from recurrio.pipeline.command.how_called import how_called
from recurrio.pipeline.sources import SourceError

Recurrio = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[bytes]]


def test_it_is_killed_goes_on_and_comes_to_the_bits_of_the_serial_loop(start: Start, tmp_path: Path) -> None:
    pytest.importorskip("h11", reason="asks the page")
    (browser := tmp_path / "browser").write_text(f"#!/bin/sh\necho $1 >'{tmp_path}/opened'\n")
    browser.chmod(0o755)
    process, text = start("demo", "--seconds", 2, "--open", env={**os.environ, "BROWSER": f"{browser} %s"}), ""
    for begins in ("serving on", "going on from"):  # the first trainer, and the second
        while f"\n{begins}" not in text or not text.endswith("records/s\n"):
            text += process.stdout.readline().decode()
        with urlopen(f"{re.findall(r'Look at it: (http.*)', text)[0]}/status") as answer:
            status = json.load(answer)
        assert len(status["keys"]) > 1
        assert status["records"]["keys"] > 1
    output, errors = process.communicate(timeout=120)
    text += output.decode()
    errors = without_notice(without_notice(errors))  # each of its two trainers says it too
    assert (tmp_path / "opened").read_text() == f"{re.findall(r'Look at it: (http.*)', text)[0]}\n"
    assert (process.returncode, errors) == (0, b"")
    assert "\n2. Killed without a warning (SIGKILL); the last checkpoint is of batch " in text
    (step,) = re.findall(r"the last checkpoint is of batch ([\d,]+)\.", text)
    assert f"going on from step {step}" in text
    digests = re.findall(r"([0-9a-f]{16})…", text)
    assert len(digests) == 3
    assert len({*digests}) == 1
    assert float(re.findall(r"([\d.]+) of the time\n", text)[0]) > 0
    assert re.search(r"   forward 0 +\|[\d ]*\d[\d ]*\|\n", text)
    assert "\nShown:\n" in text
    assert text.endswith("demo text\n")
    assert max(map(len, text[text.index("2. Killed") :].splitlines()[:2])) < 80


@pytest.fixture
def a_run(recurrio: Recurrio, tmp_path: Path) -> str:
    """The folder of one over a file."""
    lines = (json.dumps({"device": f"d{number % 5}", "x": number * number % 13}) for number in range(400))
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    words = ("--key", "device", "--features", "x", "--target", "x@+1", "--hidden", 8, "--delay", 1)
    more = ("--checkpoint-every", 10, "--keep", 100, "--out", tmp_path / "run")
    assert recurrio("train", tmp_path / "x.jsonl", *words, *more).returncode == 0
    return str(tmp_path / "run")


def test_it_says_so_where_the_bits_differ(
    a_run: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trio.run(demo._once_more, a_run)
    assert "\nShown:\n" in capsys.readouterr().out

    async def wrong(*_: object) -> Came:
        return Came("0" * 64, 1.0)

    monkeypatch.setattr(demo, "by_the_serial_loop", wrong)
    assert not trio.run(demo._once_more, a_run)
    assert "\nNOT shown, because the bits differ" in capsys.readouterr().out


def test_a_trainer_that_does_not_go_on_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "START", "import sys; sys.exit(3)")
    with pytest.raises(SourceError, match="has ended, with the code 3"):
        trio.run(lambda: demo._live(1.0, Path("nowhere"), browse=False))


def test_that_on_a_text(recurrio: Recurrio) -> None:
    done = recurrio("demo", "text", "--seconds", 2)
    assert (done.returncode, done.stderr) == (0, "")
    assert "What it writes after “def ”" in done.stdout
    assert done.stdout.endswith("recurrio train FILE, then recurrio generate run\n")


def test_that_on_a_text_has_no_page(recurrio: Recurrio) -> None:
    done = recurrio("demo", "text", "--open")
    assert done.returncode == 2
    assert done.stderr.startswith("recurrio: --open: expected the demonstration of records")


def test_it_names_the_command_as_it_was_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = tmp_path / "a folder" / "recurrio"
    command.parent.mkdir()
    command.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for path, name in (
        ("-c", "recurrio"),
        (".venv/bin/recurrio", ".venv/bin/recurrio"),
        (str(command), f"'{command}'"),
    ):
        monkeypatch.setattr("sys.argv", [path, "demo"])
        assert how_called() == name
    monkeypatch.setenv("PATH", str(command.parent))
    assert how_called() == "recurrio"
