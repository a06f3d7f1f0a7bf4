"""How a training run is shown: JSON lines, plain lines, or live tables on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Protocol

from ..observe.reports import Report

__all__ = ["Display", "JsonDisplay", "PlainDisplay", "open_display"]


class Display(Protocol):
    """Shows a run. A context manager; `report` is called after every batch."""

    def say(self, text: str) -> None:
        """Say something once."""
        ...

    def report(self, report: Report, counts: Mapping[str, int]) -> None:
        """Show a batch, and what the source has counted up to it."""
        ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay:
    """A line a second at most, for pipes and files."""

    def __init__(self) -> None:
        self._due = 0.0

    def say(self, text: str) -> None:
        """See `Display`."""
        print(text, flush=True)

    def report(self, report: Report, counts: Mapping[str, int]) -> None:
        """See `Display`."""
        if monotonic() >= self._due:
            self._due = monotonic() + 1
            print(
                f"step {report.step:>6}  loss {report.loss:.4f}  grad norm {report.grad_norm:.3f}  "
                f"{report.tokens_per_second:>9,.0f} tokens/s",
                flush=True,
            )

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class JsonDisplay(PlainDisplay):
    """One JSON object a line for every batch, and nothing else, on standard output; words go to standard error."""

    def say(self, text: str) -> None:
        """See `Display`."""
        print(text, file=sys.stderr, flush=True)

    def report(self, report: Report, counts: Mapping[str, int]) -> None:
        """See `Display`."""
        parts = {name: [part._asdict() for part in getattr(report, name)] for name in ("stages", "channels")}
        print(json.dumps(report._asdict() | parts | dict(counts)), flush=True)


def _can_draw(encoding: str) -> bool:
    """Whether the bars have a place among the characters of `encoding`."""
    try:
        "▁█●".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def open_display(*, as_json: bool) -> Display:
    """The display for standard output: JSON if wanted; live on a terminal with room for it, where rich is installed."""
    if as_json:
        return JsonDisplay()
    if sys.stdout.isatty() and os.environ.get("TERM") and _can_draw(sys.stdout.encoding):
        with suppress(ImportError):
            from .live import LEAST_WIDTH, LiveDisplay, VisibleCursor

            console = VisibleCursor()
            if not console.is_dumb_terminal and console.width >= LEAST_WIDTH:
                return LiveDisplay(console)
    return PlainDisplay()
