"""A run over records on a terminal, drawn again in place. Needs rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio
from rich.console import Console, Group
from rich.live import Live

from ..decoding.values import shown
from ..observe.reports import Report
from .course import Course
from .lines import lasted
from .record_lines import View, frame

if TYPE_CHECKING:
    from ..checkpoint import Checkpoints
    from .outcome import Outcome

__all__ = ["LEAST_WIDTH", "LiveRecords"]

LEAST_WIDTH = 40  # columns
OFTEN, SELDOM = 0.5, 1.0  # seconds between two drawings: at least; and where nothing is new


class LiveRecords:
    """What is known of a run over records of these `sources`, redrawn in place on `console`, at most twice a second."""

    def __init__(self, console: Console, sources: Sequence[str]) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._course, self._width = Course(), console.width
        self._view = View(sources, self._course, monotonic())
        self._drawn = 0.0

    def say(self, text: str) -> None:
        """See `Display`."""
        plain = shown(text, len(text))
        self._live.console.print(plain, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """See `Display`."""
        self.say(f"warning: {text}")

    def wait(self, text: str) -> None:
        """See `Display`; what is drawn says it."""

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        assert report.records is not None
        self._view = self._view._replace(report=report)
        self._look(report.records, report.step)
        if monotonic() >= self._drawn + OFTEN:
            self.draw()

    def count(self, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        self._look(counts, 0)

    def tick(self, outcome: Outcome, checkpoints: Checkpoints | None) -> None:
        """See `Display`."""
        if checkpoints is not None:
            self._view = self._view._replace(saved=_saved(checkpoints), problem=checkpoints.problem or "")
        if monotonic() < self._drawn + SELDOM:
            return
        if outcome.records is not None:
            self._look(outcome.records.report(), outcome.steps)
        self.draw()

    def _look(self, records: Mapping[str, Any], steps: int) -> None:
        now = monotonic()
        self._view = self._view._replace(records=records, now=now)
        self._course.look(now, records, steps)

    def draw(self) -> None:
        """Draw what is known, in as many columns as there are now."""
        console = self._live.console
        width, height = console.size
        if (
            width < self._width
        ):  # lines that were drawn may have been broken, and where they begin is not known any more
            console.file.write("\n" * height)
            console.clear()
        self._width, self._drawn = width, monotonic()
        self._live.update(self.group(width, height), refresh=True)

    def group(self, width: int, height: int) -> Group:
        """What is drawn in so many columns and rows. One is left free: not all agree how wide signs are."""
        return Group(*frame(self._view, width - 1, height - 1))

    def __enter__(self) -> LiveRecords:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._view = self._view._replace(saved="")  # by now there is another one
        if self._view.records is not None:
            self.draw()
        self._live.__exit__(kind, error, trace)


def _saved(checkpoints: Checkpoints) -> str:
    """What the last checkpoint is, and how old."""
    if checkpoints.saved is not None:
        return f"checkpoint of step {checkpoints.saved:,}, {lasted(trio.current_time() - checkpoints.saved_at)} ago"
    every = checkpoints.every
    if every is None:
        return "a checkpoint at the end"
    return f"no checkpoint yet; one every {lasted(every) if isinstance(every, float) else f'{every:,} steps'}"
