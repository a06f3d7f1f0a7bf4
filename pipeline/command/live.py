"""Live tables of a run over a text on a terminal. Needs rich."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..observe.reports import Report
from ..observe.words import bits_of
from .lines import bar, curve

if TYPE_CHECKING:
    from ..checkpoint import Checkpoints
    from .outcome import Outcome

__all__ = ["LEAST_WIDTH", "LiveDisplay", "VisibleCursor"]

LEAST_WIDTH = 80  # columns, in which nothing is cut
BAR, CURVE = 8, 72  # columns


class VisibleCursor(Console):
    """A console that never hides the cursor: a process that ends at once need not bring it back."""

    def show_cursor(self, show: bool = True) -> bool:
        """Leave it as it is."""
        return False


class LiveDisplay:
    """The stages, their channels, the loss and the speed, redrawn in place on `console`."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._losses: deque[float] = deque(maxlen=1000)
        self._last: Report | None = None
        self._bits = ""
        self._due = 0.0

    def say(self, text: str) -> None:
        """See `Display`."""
        self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)  # a path stays whole

    def warn(self, text: str) -> None:
        """See `Display`."""
        self.say(f"warning: {text}")

    def wait(self, text: str) -> None:
        """See `Display`."""
        self.say(text)

    def tick(self, outcome: Outcome, checkpoints: Checkpoints | None) -> None:
        """See `Display`; there is nothing new."""

    def report(self, report: Report, counts: Mapping[str, Any]) -> None:
        """See `Display`."""
        self._losses.append(report.loss)
        self._last, self._bits = report, bits_of(counts.get("metrics", {}).get("all", {}))
        if monotonic() >= self._due:
            self._due = monotonic() + 0.1
            self._live.update(self.draw(report), refresh=True)

    def count(self, counts: Mapping[str, Any]) -> None:
        """See `Display`; the summary says it."""

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last is not None:
            self._live.update(self.draw(self._last), refresh=True)
        self._live.__exit__(kind, error, trace)

    def draw(self, report: Report) -> RenderableType:
        """Tables of `report`: side by side where there is room, else below each other, or without the channels."""
        console, stages, channels = self._live.console, _stages(report), _channels(report)
        recent = list(self._losses)[-50:]
        summary = Text.assemble(
            ("step ", "dim"), f"{report.step:,}   ",
            ("loss ", "dim"), (f"{sum(recent) / len(recent):.3f}", "bold"), (" nats (mean of 50)   ", "dim"),
            f"{report.tokens_per_second:,.0f}", (" tokens/s   ", "dim"),
            ("staleness ", "dim"), f"{report.staleness}",
        )  # fmt: skip
        if self._bits:
            summary.append(f"\n{self._bits}")
        line = Text(curve(list(self._losses), CURVE), style="cyan")
        below: tuple[RenderableType, ...] = (Text(), summary, line, Text())
        both = Table.grid(padding=(0, 4))
        both.add_row(stages, channels)
        if console.measure(both, options=console.options.update(max_width=sys.maxsize)).maximum <= console.width:
            return Group(both, *below)
        if 3 + len(report.stages) + len(report.channels) + len(below) <= console.height:
            return Group(stages, Text(), channels, *below)
        return Group(stages, *below)


def _stages(report: Report) -> Table:
    table = Table("stage", "batches", "busy", "waits for input", "waits for room", box=None, pad_edge=False)
    for stage in report.stages:
        total = max(stage.seconds, 1e-9)
        shares = (stage.busy / total, stage.waiting_for_input / total, stage.waiting_for_room / total)
        cells = (
            Text(bar(share, BAR), style=style)
            for share, style in zip(shares, ("green", "yellow", "magenta"), strict=True)
        )
        table.add_row(stage.name, f"{stage.items:,}", *cells)
    return table


def _channels(report: Report) -> Table:
    table = Table("channel", "depth", "peak", "passed", box=None, pad_edge=False)
    for channel in report.channels:
        depth = "●" * channel.depth + "○" * (channel.capacity - channel.depth)
        table.add_row(channel.name, depth, f"{channel.peak}/{channel.capacity}", f"{channel.items:,}")
    return table
