"""The README's commands for live sources, the first of them twice, on what the example that serves them sends."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8").replace("\\\n", "")
COMMANDS = [line for line in README.splitlines() if re.match(r"recurrio train .*(listen|ws)://", line)]
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
LEARNED = 60  # records


@contextmanager
def feeds(folder: Path, *ports: str) -> Iterator[str]:
    """The example, and what it says first of where its prices are."""
    command = [sys.executable, str(ROOT / "examples" / "live_feeds.py"), "--prices", "0", *ports]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if line.startswith("prices: "))
        finally:
            process.terminate()


def learn(command: str, folder: Path) -> dict[str, object]:
    """Run it until it has learned from some records, and end it by Ctrl-C: its last report."""
    words = shlex.split(command)[1:]
    told = {":9000": "--sensors", ":9002": "--hosts", ":9003": "--labels"}
    if any(":9001" in word for word in words):
        with feeds(folder) as where:
            return watch([re.sub("ws://.*", where.split()[1], word) for word in words], folder)
    asked = [option for port, option in told.items() if any(port in word for word in words)]
    return watch([re.sub(r":900[023]$", ":0", word) for word in words], folder, asked)


def watch(words: list[str], folder: Path, asked: list[str] | None = None) -> dict[str, object]:
    (folder / "reports.json").unlink(missing_ok=True)
    command = [sys.executable, "-c", MAIN, *words, "--reports", "reports.json", "--report-every", "200ms"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ports = list[str]()
        while len(ports) < len(asked or []):
            ports += re.findall(r"^listening on \S+:(\d+)", process.stdout.readline())
        options = [word for pair in zip(asked or [], ports, strict=True) for word in pair]
        with feeds(folder, *options) if options else feeds(folder):
            for line in process.stdout:
                applied = re.search(r"([\d,]+) applied", line)
                if applied is not None and int(applied[1].replace(",", "")) >= LEARNED:
                    break
            process.send_signal(signal.SIGINT)
            said, errors = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in errors) == (130, False), errors
    assert "wrote run" in said
    report: dict[str, object] = json.loads((folder / "reports.json").read_text().splitlines()[-1])
    return report


def test_there_are_three() -> None:
    assert len(COMMANDS) == 3


@pytest.mark.parametrize("command", COMMANDS, ids=["sensors", "prices", "hosts"])
def test_a_command_learns_and_can_be_repeated(command: str, tmp_path: Path) -> None:
    pytest.importorskip("websockets")
    (tmp_path / "access.jsonl").touch()
    times = 2 if command == COMMANDS[0] else 1
    for _ in range(times):
        report = learn(command, tmp_path)
        assert int(str(report["applied"])) >= LEARNED
        assert report["rejected"] == 0
    assert len([*tmp_path.glob("run*/model.safetensors")]) == times
