"""Lines about sources: how much comes from each, what is lost of it, and what it waits for. Needs rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ..observe.words import PLAIN
from .course import Speed
from .lines import Cell, flow, lasted, rate, table

__all__ = ["sources"]

MOST = 5  # lines
SILENT = 3.0  # seconds
LOST = ("rejected", "dropped", "broken", "gaps", "unjournaled")


def sources(records: Mapping[str, Any], speed: Speed | None, silent: Sequence[float], width: int) -> list[Text]:
    """A line for each source; where there are too many, of those that something is wrong with first."""
    each = [*enumerate(records.get("sources", ()))]
    each.sort(key=lambda item: not any(item[1].get(name) for name in LOST))
    shown = sorted(each[:MOST]) if len(each) <= MOST else each[:MOST]
    counts = [name for name in ("received", "rejected", "dropped", "reconnects") if _is_shown(name, each)]
    states = [_state(source, silent[index] if index < len(silent) else 0.0) for index, source in shown]
    now = ["now"] if any(states) else []
    rows: list[list[Cell]] = []
    for (index, source), state in zip(shown, states, strict=True):
        came = "–" if speed is None or index >= len(speed.sources) else rate(speed.sources[index])
        counted = [_count(name, source.get(name)) for name in counts]
        rows.append([source["source"], came, *([state] if now else []), *counted])
    if not rows:
        return []
    lines = table(["source", "records/s", *now, *counts], rows, width)
    more = len(each) - len(shown)
    return lines + (flow([Text(f"and {more} more sources", "dim")], width) if more else [])


def _is_shown(name: str, each: Sequence[tuple[int, Mapping[str, Any]]]) -> bool:
    """Of all there is what came; the rest where there is any."""
    if name in ("received", "rejected"):
        return True
    return any(source.get(name) if name == "dropped" else name in source for _, source in each)


def _count(name: str, count: int | None) -> Cell:
    if count is None:
        return ""
    return (f"{count:,}", "bold yellow") if count and name in LOST else f"{count:,}"


def _state(source: Mapping[str, Any], silent: float) -> Cell:
    """What it waits for, or has to offer."""
    if source.get("files") == 0:
        return ("no file yet", "yellow")
    if source.get("open") == 0:
        return ("no connection", "yellow")
    if not source.get("received"):
        return ("no record yet", "yellow")
    if source.keys() - PLAIN and silent >= SILENT:  # one of a file may have been read ahead
        return (f"silent {lasted(silent)}", "yellow")
    if source.get("waiting"):
        return f"{source['waiting']:,} wait"
    if source.get("unread"):
        return f"{source['unread'] / 1e6:,.1f} MB unread"
    return f"{source['open']:,} open" if "open" in source else ""
