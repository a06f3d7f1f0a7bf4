"""How a training run is shown: JSON lines, plain lines, or a live table on a terminal."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Mapping
from itertools import pairwise
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from ..observe.reports import Report

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

__all__ = ["Display", "JsonDisplay", "LiveDisplay", "PlainDisplay", "open_display"]

BARS = "▁▂▃▄▅▆▇█"


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


class LiveDisplay:
    """The stages, their channels, the loss and the speed, redrawn in place. Needs rich."""

    def __init__(self) -> None:
        from rich.live import Live

        self._live: Live = Live(auto_refresh=False, transient=False)
        self._losses: deque[float] = deque(maxlen=1000)
        self._last: Report | None = None
        self._due = 0.0

    def say(self, text: str) -> None:
        """See `Display`."""
        self._live.console.print(text, markup=False, highlight=False)

    def report(self, report: Report, counts: Mapping[str, int]) -> None:
        """See `Display`."""
        self._losses.append(report.loss)
        self._last = report
        if monotonic() >= self._due:
            self._due = monotonic() + 0.1
            self._live.update(self._draw(report), refresh=True)

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None:
            self._live.update(self._draw(self._last), refresh=True)
        self._live.__exit__(kind, error, trace)

    def _draw(self, report: Report) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        stages = Table("stage", "batches", "busy", "waits for input", "waits for room", box=None, pad_edge=False)
        for stage in report.stages:
            total = max(stage.seconds, 1e-9)
            shares = (stage.busy / total, stage.waiting_for_input / total, stage.waiting_for_room / total)
            cells = (
                Text(f"{'█' * round(12 * min(share, 1)):<12} {share:>4.0%}", style=style)
                for share, style in zip(shares, ("green", "yellow", "magenta"), strict=True)
            )
            stages.add_row(stage.name, f"{stage.items:,}", *cells)
        channels = Table("channel", "depth", "peak", "passed", box=None, pad_edge=False)
        for channel in report.channels:
            depth = "●" * channel.depth + "○" * (channel.capacity - channel.depth)
            channels.add_row(channel.name, depth, f"{channel.peak}/{channel.capacity}", f"{channel.items:,}")
        recent = list(self._losses)[-50:]
        summary = Text.assemble(
            ("step ", "dim"), f"{report.step:,}   ",
            ("loss ", "dim"), (f"{sum(recent) / len(recent):.3f}", "bold"), (" nats (mean of 50)   ", "dim"),
            ("speed ", "dim"), f"{report.tokens_per_second:,.0f}", (" tokens/s   ", "dim"),
            ("version ", "dim"), f"{report.version:,}", (" staleness ", "dim"), f"{report.staleness}",
        )  # fmt: skip
        both = Table.grid(padding=(0, 4))
        both.add_row(stages, channels)
        return Group(both, Text(), summary, Text(_curve(list(self._losses), 72), style="cyan"), Text())


def _curve(values: list[float], width: int) -> str:
    """A line of bars: the means of `width` neighbouring groups of `values`."""
    groups = min(width, len(values))
    edges = [len(values) * group // groups for group in range(groups + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
    low, high = min(means), max(means)
    scale = (len(BARS) - 1) / ((high - low) or 1)
    return "".join(BARS[round((mean - low) * scale)] for mean in means)


def open_display(*, as_json: bool) -> Display:
    """The display for standard output as it is: JSON if wanted, live on a terminal where rich is installed."""
    if as_json:
        return JsonDisplay()
    if sys.stdout is not None and sys.stdout.isatty():
        try:
            return LiveDisplay()
        except ImportError:
            return PlainDisplay()
    return PlainDisplay()
