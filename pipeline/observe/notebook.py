"""The line below a cell of a notebook that says how far a run is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from time import monotonic
from typing import Any

from .reports import Report

__all__ = ["NotebookLine", "notebook_line"]

FIRST, EVERY = 0.5, 0.25  # seconds: until there is a line, as most runs of a loop need none; and between two of them


class NotebookLine:
    """What the last report says, in a line that is written again in its place, at most four times a second."""

    def __init__(self) -> None:
        self._due = monotonic() + FIRST
        self._handle: Any = None  # of the line, once there is one
        self._waiting: Report | None = None

    def report(self, report: Report) -> None:
        """Show it, where it is time."""
        self._waiting = report
        if monotonic() >= self._due:
            self._due = monotonic() + EVERY
            self._show(report)

    def end(self) -> None:
        """Show the last report, if there is a line that does not."""
        if self._handle is not None and self._waiting is not None:
            self._show(self._waiting)

    def _show(self, report: Report) -> None:
        from IPython.display import display

        text, self._waiting = report.line(), None
        shown = {"text/plain": text, "text/html": f"<pre>{escape(text)}</pre>"}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


@contextmanager
def notebook_line() -> Iterator[NotebookLine | None]:
    """The line of a run, for ``with``; None where this is no notebook."""
    line = NotebookLine() if _in_notebook() else None
    try:
        yield line
    finally:
        if line is not None:
            line.end()


def _in_notebook() -> bool:
    """Whether there is a kernel of IPython, which then has been imported."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None
