"""The command in this very process, which is quicker; signals, and descriptors as they come, want one of its own."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from recurrio.pipeline.command.commands import run
from recurrio.pipeline.command.signals import Interrupts
from support.command import without_notice

__all__ = ["Done", "parsed", "run_here"]


class Done(NamedTuple):
    """The exit code, standard output, and standard error."""

    code: int
    output: str
    errors: str

    @property
    def report(self) -> dict[str, Any]:
        """The last report of ``--json``; it accounts for every record."""
        report: dict[str, Any] = parsed(self.output)[-1]
        parts = ("applied", "unlabelled", "dropped", "rejected")
        assert sum(report[part] for part in parts) == report["records"]
        assert report["waiting"] == 0
        return report


def run_here(*words: object) -> Done:
    """Run the command to its end."""
    output, errors = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    interrupts = Interrupts()
    with redirect_stdout(output), redirect_stderr(errors):
        code = run([*map(str, words)], interrupts)
    for descriptor in (interrupts._came, interrupts._come):  # they belong to the process
        os.close(descriptor)
    said, complained = (stream.buffer.getvalue() for stream in (output, errors))  # type: ignore[attr-defined]
    return Done(code, said.decode(), without_notice(complained).decode())


def parsed(lines: str | Path) -> list[dict[str, Any]]:
    """Lines of JSON, strictly: NaN and Infinity are none."""
    text = lines.read_text(encoding="utf-8") if isinstance(lines, Path) else lines
    return [json.loads(line, parse_constant=_refuse) for line in text.splitlines()]


def _refuse(token: str) -> None:
    raise AssertionError(f"{token} is no JSON")
