"""The first tour, from its first command to its last, as it stands there, and what it shows of what they say."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tour.md").read_text("utf-8")
MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"
RECORDS = 20_000
# The tour sleeps until a forecast is written; here that is waited for, and `python` is only told to make the files.
PRELUDE = f"""set -e
recurrio() {{ '{sys.executable}' -c '{MAIN}' "$@"; }}
python() {{ '{sys.executable}' '{ROOT}/examples/records.py'; }}
sleep() {{ until tail -n 1 said.jsonl | grep -q device-03; do command sleep 0.1; done; }}
"""
# Commands, and what they say where that is shown behind them; the first are pip's.
STEPS = re.findall(r"```sh\n(.*?)```(?:\n\n```\n(.*?)```)?", PAGE, re.DOTALL)[1:]
ENDED = re.findall(r"^```\n(interrupted: .*?)```", PAGE, re.DOTALL | re.MULTILINE)
SERVED = "127.0.0.1:8080"


def alike(line: str) -> str:
    """The line, whatever its numbers are; a port is one too."""
    return re.sub(r"-?\d[\d,.]*", "0", line)


def check(shown: str, said: str) -> None:
    """Each line that is shown was said."""
    lines = {alike(line) for line in said.splitlines()}
    assert [line for line in shown.splitlines() if alike(line) not in lines] == [], said


def run(commands: str, folder: Path) -> str:
    """What the commands say, on standard output and standard error."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["sh", "-c", PRELUDE + commands], cwd=folder, text=True, check=False, timeout=60, **pipes)
    assert done.returncode == 0, done.stdout
    return done.stdout


class Live:
    """The run in the first terminal."""

    def __init__(self, command: str, folder: Path) -> None:
        words = shlex.split(command.replace("\\\n", "").replace(SERVED, "127.0.0.1:0"))[1:]
        self._output = folder / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, *words], cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self._output.read_text("utf-8")

    def address(self) -> str:
        """Where it is, once all records have come and are learned from."""
        until(lambda: "serving on" in self.said())
        found = re.findall(r"serving on http://(\S+)", self.said())[0]
        before: list[object] = []

        def rests() -> bool:
            with urlopen(f"http://{found}/status", timeout=5) as answer:
                status = json.load(answer)
            before.append((status["records"]["records"], status["step"]))
            return status["records"]["records"] >= RECORDS and before[-3:] == [before[-1]] * 3

        until(rests)
        return str(found)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_its_commands_say_what_it_shows(tmp_path: Path) -> None:
    for needed in ("h11", "prometheus_client", "onnx"):
        pytest.importorskip(needed)
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    live, address, answers = None, "", []
    try:
        for commands, shown in STEPS:
            if "--serve" in commands:
                live = Live(commands, tmp_path)
                address = live.address()
                said = live.said()
            elif "kill -9" in commands:
                said = run(commands, tmp_path)
                assert live is not None
                assert live.process.wait(30) == -signal.SIGKILL
            else:
                if "verify" in commands and live is not None:
                    assert live.end(signal.SIGINT) == 130
                    check(ENDED[0], live.said())
                said = run(commands.replace(SERVED, address), tmp_path)
            check(shown, said)
            answers += re.findall(r'"prediction":(\S+?),"version":[1-9]', said)
    finally:
        if live is not None and live.process.poll() is None:
            live.end(signal.SIGKILL)
    assert len(answers) == 3
    assert len({*answers}) == 1  # asked, asked after it was killed, and said of the record that came


def test_it_has_so_many_steps() -> None:
    assert (len(STEPS), len(ENDED)) == (10, 1)
    assert sum("--serve" in commands for commands, _ in STEPS) == 2
