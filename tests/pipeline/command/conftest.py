"""The command in a process of its own, to its end or started."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.command import without_notice
from support.forking import run_forked

MAIN = "import sys; from recurrio.pipeline.command.cli import main; sys.exit(main())"


@pytest.fixture
def recurrio() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command to its end: ``recurrio(*words, text="what comes on standard input")``."""

    def run(*arguments: object, text: str | bytes | None = None) -> subprocess.CompletedProcess[str]:
        data = text.encode() if isinstance(text, str) else text
        words = [*map(str, arguments)]
        code, output, errors = run_forked(words, data or b"")
        return subprocess.CompletedProcess(words, code, output.decode(), without_notice(errors).decode())

    return run


class Command(subprocess.Popen[bytes]):
    """The command in a process; `communicate` leaves a notice out."""

    def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:  # noqa: ANN401 (Popen's)
        """What it writes until its end."""
        output, errors = super().communicate(*arguments, **options)
        return output, errors and without_notice(errors)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start the command: ``start(*words, prelude="code that runs before", …)``, with the options of Popen."""
    processes = []

    def popen(*arguments: object, prelude: str = "", **options: object) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-c", f"{prelude}\n{MAIN}", *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = Command(words, **{**pipes, **options})
        processes.append(process)
        return process

    yield popen
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
