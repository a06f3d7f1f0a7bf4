"""When each task computed which batch, as a Chrome trace and as a picture: what shows that stages overlap."""

from __future__ import annotations

import json
import math
import os
from collections import deque
from typing import NamedTuple
from xml.sax.saxutils import escape

from ...core.base.files import write_file

__all__ = ["Span", "Timeline"]

STAGES = ("load", "forward", "backward", "weight gradient", "update")
SHOWN_BATCHES = 12  # in the picture; more cannot be read
COLOURS = ("#e69f00", "#56b4e9", "#f0e442", "#009e73", "#cc79a7", "#d55e00")  # Okabe and Ito; black text is legible
WIDTH, RIGHT, TOP, ROW, BAR = 1200, 40, 44, 34, 26  # pixels
LABEL = 24  # characters of a task's name


class Span(NamedTuple):
    """One computation: `task` ("load", "forward 0") worked on `batch` from `start` to `end`, with weights `version`.

    The times are seconds of one monotonic clock; ``version`` is None where no weights are used.
    """

    task: str
    batch: int
    version: int | None
    start: float
    end: float


class Timeline:
    """Who computed which batch when: the last `limit` spans of one run, older ones are forgotten."""

    def __init__(self, limit: int = 20_000) -> None:
        if type(limit) is not int or limit < 1:
            raise ValueError(f"limit of the timeline: expected a whole number of at least 1, got {limit!r}")
        self._spans: deque[Span] = deque(maxlen=limit)

    def add(self, task: str, batch: int, version: int | None, start: float, end: float) -> None:
        """Record a finished computation, see `Span`. The spans of one task must not overlap."""
        self._spans.append(Span(task, batch, version, start, end))

    @property
    def spans(self) -> list[Span]:
        """What is remembered, in the order of `add`."""
        return list(self._spans)

    @property
    def tasks(self) -> list[str]:
        """The tasks of `spans`, in the order of the pipeline, then others in the order first seen."""
        return _in_order(self.spans)

    @property
    def overlap(self) -> float:
        """The share of the time in which two tasks or more computed, of that in which one did or more."""
        ends = sorted([(span.start, 1) for span in self._spans] + [(span.end, -1) for span in self._spans])
        some = several = running = before = 0.0
        for time, change in ends:
            some += (time - before) * (running >= 1)
            several += (time - before) * (running >= 2)
            running, before = running + change, time
        return several / some if some else 0.0

    def lines(self, batches: int, width: int) -> list[str]:
        """A picture of the last so many batches in plain text: a line a task, at each time the batch's last digit."""
        first = max((span.batch for span in self._spans), default=0) - batches
        spans = [span for span in self._spans if span.batch > first]
        origin, end = min((span.start for span in spans), default=0.0), max((span.end for span in spans), default=0.0)
        column, rows = (end - origin) / width, {task: [" "] * width for task in self.tasks}
        for span in spans:
            left = min(int((span.start - origin) / column), width - 1) if column else 0
            right = max(left + 1, round((span.end - origin) / column)) if column else 1
            rows[span.task][left:right] = str(span.batch % 10) * (right - left)
        longest = max(map(len, rows), default=0)
        return [f"{task:{longest}} |{''.join(row)}|" for task, row in rows.items()]

    def write_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the spans to `path` as Chrome trace events, for Perfetto or chrome://tracing, as `write_file` does.

        Raises OSError.
        """
        trace = json.dumps({"traceEvents": _trace_events(self.spans), "displayTimeUnit": "ms"})
        write_file(path, [trace.encode()])

    def write_svg(self, path: str | os.PathLike[str]) -> None:
        """Write a picture of the last 12 batches to `path`, as `write_file` does: a row a task, a colour a batch.

        Raises OSError.
        """
        write_file(path, [_svg(self.spans).encode()])


def _stage_and_shard(task: str) -> tuple[str, int | None]:
    """The two halves of a name such as "forward 1"; "load" has no shard."""
    stage, _, shard = task.rpartition(" ")
    return (stage, int(shard)) if stage and shard.isdecimal() else (task, None)


def _in_order(spans: list[Span]) -> list[str]:
    """See `Timeline.tasks`."""

    def order(task: str) -> tuple[int, int]:
        stage, shard = _stage_and_shard(task)
        return (STAGES.index(stage), -1 if shard is None else shard) if stage in STAGES else (len(STAGES), 0)

    return sorted(dict.fromkeys(span.task for span in spans), key=order)


def _trace_events(spans: list[Span]) -> list[dict[str, object]]:
    """Metadata that names the process and a thread for each task, then one complete event a span."""
    events: list[dict[str, object]] = [{"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "recurrio"}}]
    threads = {task: index for index, task in enumerate(_in_order(spans), 1)}
    for task, thread in threads.items():
        about = {"ph": "M", "pid": 1, "tid": thread}
        events.append({**about, "name": "thread_name", "args": {"name": task}})
        events.append({**about, "name": "thread_sort_index", "args": {"sort_index": thread}})
    origin = min((span.start for span in spans), default=0.0)
    for task, batch, version, start, end in spans:
        stage, shard = _stage_and_shard(task)
        # Whole microseconds, and the duration from the rounded ends: viewers reject a thread's events that overlap,
        # and so the end of one span is never after the start of the next.
        ts, stop = (round((time - origin) * 1e6) for time in (start, end))
        where = {"ph": "X", "pid": 1, "tid": threads[task], "ts": ts, "dur": stop - ts}
        args = {"batch": batch, "shard": shard, "version": version}
        events.append({**where, "name": f"batch {batch}", "cat": stage, "args": args})
    return events


def _svg(spans: list[Span]) -> str:
    """The picture. The only rects are the spans; x is time from the start of the first span shown."""
    tasks = _in_order(spans)
    batches = sorted({span.batch for span in spans})
    shown = set(batches[-SHOWN_BATCHES:])
    spans = [span for span in spans if span.batch in shown]
    bottom = TOP + ROW * len(tasks)
    size = f'width="{WIDTH}" height="{bottom + 32}" viewBox="0 0 {WIDTH} {bottom + 32}"'
    style = 'font-family="sans-serif" font-size="12" style="background:#fff"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>']
    parts.append(f'<text x="12" y="24" font-size="13">{_caption(len(shown), len(batches))}</text>')
    if spans:
        labels = [task if len(task) <= LABEL else task[: LABEL - 1] + "…" for task in tasks]
        left = 24 + 7.5 * max(map(len, labels))
        origin = min(span.start for span in spans)
        extent = max(max(span.end for span in spans) - origin, 1e-6)  # a microsecond, where all have zero length
        scale = (WIDTH - RIGHT - left) / extent
        for tick, label in _ticks(extent):
            x = left + scale * tick
            parts.append(f'<path d="M{x:.2f} {TOP - 4}V{bottom + 4}" stroke="#ddd"/>')
            parts.append(f'<text x="{x:.2f}" y="{bottom + 20}" text-anchor="middle" fill="#555">{label} ms</text>')
        tops = {task: TOP + ROW * row + (ROW - BAR) // 2 for row, task in enumerate(tasks)}
        for y, label in zip(tops.values(), labels, strict=True):
            where = f'x="{left - 12:.2f}" y="{y + BAR // 2 + 4}" text-anchor="end"'
            parts.append(f"<text {where}>{_text(label)}</text>")
        for span in spans:
            x, width = left + scale * (span.start - origin), max(scale * (span.end - span.start), 1)
            y, number, colour = tops[span.task], str(span.batch), COLOURS[span.batch % len(COLOURS)]
            version = "" if span.version is None else f", version {span.version}"
            title = _text(f"{span.task}, batch {number}{version}, {1e3 * (span.end - span.start):.3f} ms")
            where = f'x="{x:.2f}" y="{y}" width="{width:.2f}" height="{BAR}" stroke="#333" stroke-width="0.5"'
            parts.append(f'<rect {where} fill="{colour}"><title>{title}</title></rect>')
            if width >= 7.5 * len(number) + 4:
                where = f'x="{x + width / 2:.2f}" y="{y + BAR // 2 + 4}" text-anchor="middle"'
                parts.append(f'<text {where} pointer-events="none">{number}</text>')  # the tooltip is the rect's
    return "\n".join([*parts, "</svg>\n"])


def _caption(shown: int, batches: int) -> str:
    """One line that says what is seen."""
    if not batches:
        return "Nothing was recorded."
    which = "all batches" if shown == batches else f"the last {shown} of {batches} batches"
    return f"Who computed {which} remembered, and when. One colour a batch; bars above each other ran at the same time."


def _ticks(extent: float) -> list[tuple[float, str]]:
    """Seconds and milliseconds of at most 11 ticks from 0 to `extent` seconds, at 1, 2 or 5 times a power of ten."""
    least = 1e3 * extent / 10
    power = math.floor(math.log10(least))
    step = next(step for factor in (1, 2, 5, 10) if (step := factor * 10.0**power) >= least * (1 - 1e-9))
    count = math.floor(1e3 * extent / step + 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(index * step / 1e3, f"{index * step:.{digits}f}") for index in range(count + 1)]


def _text(text: str) -> str:
    """`text` for XML, which cannot hold control characters even when escaped."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
