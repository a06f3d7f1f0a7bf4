"""How a training run is shown: JSON lines, plain lines, or live tables on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from ...core.base.line_file import LineFile
from ..observe.reports import Report
from ..observe.words import bits_of, sources_of
from .scores import as_json, records_as_json

if TYPE_CHECKING:
    from ..checkpoint import Checkpoints
    from .outcome import Outcome

__all__ = ["Display", "JsonDisplay", "PlainDisplay", "Recorded", "open_display"]


SOURCES_EVERY = 10.0  # seconds


class Display(Protocol):
    """Shows a run. A context manager; `report` is called after every batch."""

    def say(self, text: str) -> None:
        """Say something once."""
        ...

    def warn(self, text: str) -> None:
        """Say what somebody should know."""
        ...

    def wait(self, text: str) -> None:
        """Say what is waited for at first, where that takes its time."""
        ...

    def tick(self, outcome: Outcome, checkpoints: Checkpoints | None) -> None:
        """Show how far the run is, whether or not there has been a batch; called twice a second."""
        ...

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """Show a batch, and what the source has counted up to it."""
        ...

    def count(self, counts: Mapping[str, Any]) -> None:
        """Show what has become of records that made no batch."""
        ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class PlainDisplay:
    """A line a second at most, for pipes and files; on standard error where something else is on standard output."""

    def __init__(self, *, beside: bool = False) -> None:
        self._due = self._sources_due = 0.0
        self._beside = beside

    def say(self, text: str) -> None:
        """See `Display`."""
        print(text, file=sys.stderr if self._beside else sys.stdout, flush=True)

    def warn(self, text: str) -> None:
        """See `Display`."""
        print(f"recurrio: warning: {text}", file=sys.stderr, flush=True)

    def wait(self, text: str) -> None:
        """See `Display`."""
        self.say(text)

    def tick(self, outcome: Outcome, checkpoints: Checkpoints | None) -> None:
        """See `Display`; there is a line when there is a report."""

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        if monotonic() < self._due:
            return
        self._due = monotonic() + 1
        self.say(report.line(bits_of(counts.get("metrics", {}).get("all", {}))))
        if report.records is not None and monotonic() >= self._sources_due:
            self._sources_due = monotonic() + SOURCES_EVERY
            for name, came in sources_of(report.records):
                self.say(f"  {name}: {came}")

    def count(self, counts: Mapping[str, Any]) -> None:
        """See `Display`; the summary says it."""

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

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        print(json.dumps(as_json(report, counts)), flush=True)

    def count(self, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        print(json.dumps(_nothing(counts)), flush=True)


class EpochDisplay(PlainDisplay):
    """Of epochs, of which each is said."""

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`; it has been said."""


class QuietDisplay(PlainDisplay):
    """Warnings alone."""

    def say(self, text: str) -> None:
        """See `Display`."""

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""


def _nothing(counts: Mapping[str, Any]) -> dict[str, Any]:
    """A report of no batch, as JSON."""
    return records_as_json(counts, {"step": 0}, {})


class Recorded:
    """Another display, and the reports as JSON lines in a file too. Raises OSError.

    From a `position` on it goes on when there is a report, and not before: that at the end of a run is the last one
    until there is more.
    """

    def __init__(
        self, display: Display, path: str, position: dict[str, Any] | None = None, rotate: int | None = None
    ) -> None:
        self._display, self._path, self._begin, self._rotate = display, path, position, rotate
        self._file = None if position is not None else LineFile(path, None, rotate)
        self.say, self.warn, self.wait, self.tick = display.say, display.warn, display.wait, display.tick

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        self._write(as_json(report, counts))
        self._display.report(report, counts)

    def count(self, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        self._write(_nothing(counts))
        self._display.count(counts)

    def _write(self, report: Mapping[str, Any]) -> None:
        if self._file is None:
            self._file = LineFile(self._path, self._begin, self._rotate)
        self._file.write(json.dumps(report).encode() + b"\n")

    def position(self) -> dict[str, Any] | None:
        """See `recurrio.pipeline.checkpoint.checkpoints.Output`."""
        return self._begin if self._file is None else self._file.position()

    def sync(self) -> Callable[[], None] | None:
        """See `recurrio.pipeline.checkpoint.checkpoints.Output`."""
        return None if self._file is None else self._file.sync()

    def __enter__(self) -> Recorded:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)
        if self._file is not None:
            self._file.close()


def _can_draw(encoding: str) -> bool:
    """Whether the bars have a place among the characters of `encoding`."""
    try:
        "▁█●▲◆…–".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def open_display(
    *,
    as_json: bool,
    quiet: bool = False,
    beside: bool = False,
    records: Sequence[str] | None = None,
    epochs: bool = False,
    reports: str | None = None,
    position: dict[str, Any] | None = None,
    rotate: int | None = None,
) -> Display | Recorded:
    """The display for standard output: JSON if wanted; live on a terminal with room for it, where rich is installed.

    Nothing where it is to be `quiet`; where there is something `beside` it on standard output, lines on standard error.
    `records` are the sources of a run over records, None of one over a text; one of `epochs` says each. `reports` is a
    file for the reports as JSON, to go on at a `position`, and to `rotate`. Raises OSError.
    """
    display = _display(as_json=as_json, quiet=quiet, beside=beside, records=records, epochs=epochs)
    return display if reports is None else Recorded(display, reports, position, rotate)


def _display(*, as_json: bool, quiet: bool, beside: bool, records: Sequence[str] | None, epochs: bool) -> Display:
    if as_json:
        return JsonDisplay()
    if quiet:
        return QuietDisplay()
    if epochs:
        return EpochDisplay()
    if not beside and sys.stdout.isatty() and os.environ.get("TERM") and _can_draw(sys.stdout.encoding):
        with suppress(ImportError):
            from . import live, live_records

            console = live.VisibleCursor()
            least = live.LEAST_WIDTH if records is None else live_records.LEAST_WIDTH
            if not console.is_dumb_terminal and console.width >= least:
                return live.LiveDisplay(console) if records is None else live_records.LiveRecords(console, records)
    return PlainDisplay(beside=beside)
