"""Lines about the stages of a run: how long each computed, and what it waited for. Needs rich."""

from __future__ import annotations

from rich.text import Text

from ..observe.reports import Report
from .lines import Cell, bar, table

__all__ = ["stages"]

BAR = 8  # cells
WIDE = 72  # cells, from which on there are bars
STYLES = ("green", "yellow", "magenta")


def stages(report: Report, width: int) -> list[Text]:
    """A line for each stage, with the shares of its time."""
    drawn, rows = BAR if width >= WIDE else 0, list[list[Cell]]()
    for stage in report.stages:
        total = max(stage.seconds, 1e-9)
        spent = [share / total for share in (stage.busy, stage.waiting_for_input, stage.waiting_for_room)]
        shares = [(bar(min(share, 1.0), drawn), style) for share, style in zip(spent, STYLES, strict=True)]
        rows.append([stage.name, *shares, f"{stage.items:,}"])
    heads = ("busy", "waits for input", "for room") if drawn else ("busy", "input", "room")
    return table(["stage", *heads, "batches"], rows, width) if rows else []
