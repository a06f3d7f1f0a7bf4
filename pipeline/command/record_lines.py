"""What is shown of a run over records on a terminal: sections of lines, the most important first. Needs rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.text import Text

from ..observe.reports import Report
from .course import Course
from .lines import fitted, flow, lasted, rate
from .score_lines import contest, scores, skills, worst
from .source_lines import sources
from .stage_lines import stages

__all__ = ["View", "frame"]

GOOD = ("applied", "unlabelled", "waiting", "keys", "evicted", "expired")
BAD = ("rejected", "dropped", "late")
NAMED = 3  # sources, or fields
QUIET = 2.0  # seconds without a batch, after which there is something to say
LABELS = ("matched", "waiting", "early", "twice", "late", "unmatched", "dropped", "given_up")
BAD_LABELS = {"twice", "late", "unmatched", "dropped", "given_up"}


class View(NamedTuple):
    """What is known: the `names` of the sources, the last report of the records and of a batch, and the course so far.

    ``saved`` says of checkpoints how old the last one is, and ``problem`` why it could not be written.
    """

    names: Sequence[str]
    course: Course
    now: float
    records: Mapping[str, Any] | None = None
    report: Report | None = None
    saved: str = ""
    problem: str = ""


def frame(view: View, width: int, height: int) -> list[Text]:
    """The lines of `view`, each at most `width` cells wide, and at most `height` of them."""
    sections = [_head(view, width)]
    if view.records is not None:
        records = view.records
        speed = view.course.speed
        sections += [scores(records, width), contest(records, width)]
        sections += [sources(records, speed, view.course.silent(view.now), width)]
        sections += [_labels(records, width), _marks(records, width), worst(records, width)]
    if view.report is not None:
        sections.append(stages(view.report, width))
    sections.append(skills([*view.course.skills], width))
    found = sections[0][:height]
    for section in sections[1:]:
        if section and len(found) + 1 + len(section) <= height:
            found += [Text(), *section]
    return found


def _head(view: View, width: int) -> list[Text]:
    found = _waits(view, width)
    if view.problem:
        found += flow([Text(fitted(view.problem, width), "bold magenta")], width)
    records, report, speed = view.records, view.report, view.course.speed
    if records is not None and records["records"]:
        steps = 0 if report is None else report.step
        items = [_item(f"{records['records']:,}", "records"), _item(f"{steps:,}", "steps")]
        if speed is not None:
            items += [_item(rate(speed.records), "records/s"), _item(rate(speed.steps), "steps/s")]
        elif report is not None:
            items.append(_item(rate(report.tokens_per_second), "records/s"))
        if report is not None:
            items += [_item(f"{report.loss:.3g}", "loss"), _item(lasted(report.seconds), "of training")]
        found += flow(items, width)
        items = [_item(f"{records[name]:,}", name) for name in GOOD if records.get(name)]
        items += [_item(f"{records[name]:,}", name, "bold yellow") for name in BAD if records.get(name)]
        if report is not None and report.skipped:
            items.append(_item(f"{report.skipped:,}", "batches skipped", "bold yellow"))
        found += flow(items, width)
    items = []
    if view.saved:
        items.append(Text(view.saved, "dim"))
    if report is not None and report.latency is not None:
        p50, p99 = (f"{1e3 * report.latency[name]:,.0f} ms" for name in ("p50", "p99"))
        items.append(Text.assemble(("from label to weights ", "dim"), p50, (" (p50), ", "dim"), p99, (" (p99)", "dim")))
    return found + flow(items, width)


def _waits(view: View, width: int) -> list[Text]:
    """What the run waits for, if it does."""
    records = view.records
    if records is None or not records["records"]:
        names = [fitted(name, width) for name in view.names[:NAMED]]
        more = len(view.names) - len(names)
        words = ["waiting for the first record from", *names, *([f"and {more} more"] if more else [])]
        return flow([Text(word, "bold") for word in words], width, 1)
    idle = view.course.idle(view.now)
    if idle < QUIET:
        return []
    if view.report is None:
        labels = records.get("labels", {})
        text = "waiting for the first batch"
        if labels.get("waiting") and not labels.get("matched"):
            text = f"waiting for the first label; {labels['waiting']:,} records wait for theirs"
    else:
        text = f"waiting: no batch for {lasted(idle)}"
    return flow([Text(text, "bold yellow")], width)


def _labels(records: Mapping[str, Any], width: int) -> list[Text]:
    """What has become of labels that come later."""
    labels = records.get("labels")
    if labels is None:
        return []
    items = [Text("labels", "dim")]
    for name in LABELS:
        if labels.get(name):
            said = {"waiting": "records waiting for theirs", "given_up": "records given up"}.get(name, name)
            items.append(_item(f"{labels[name]:,}", said, "bold yellow" if name in BAD_LABELS else ""))
    return flow(items if len(items) > 1 else [Text("labels: none yet", "dim")], width)


def _marks(records: Mapping[str, Any], width: int) -> list[Text]:
    """Drifts, alarms, and what is odd about the values."""
    items = []
    drift, alarms = records.get("drift"), records.get("bounds", {}).get("alarms")
    if drift is not None:
        what = "drift" if drift["count"] == 1 else "drifts"
        last = f", the last at record {drift['last']:,}" if drift["count"] else ""
        items.append(_item(f"{drift['count']:,}", f"{what}{last}", "bold yellow" if drift["count"] else ""))
    if alarms is not None:
        items.append(_item(f"{alarms:,}", "alarms", "bold yellow" if alarms else ""))
    if records.get("unknown"):
        items.append(_item(f"{records['unknown']:,}", "values beyond the tables"))
    missing = sorted(records.get("missing", {}).items(), key=lambda each: -each[1])
    for name, share in missing[:NAMED]:
        items.append(Text.assemble((f"{fitted(name, width // 2)} missing in ", "dim"), f"{share:.1%}"))
    return flow(items, width)


def _item(value: str, what: str, style: str = "") -> Text:
    return Text.assemble((value, style), (f" {what}", style or "dim"))
