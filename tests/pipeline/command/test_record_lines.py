"""What is shown of records on a terminal: of reports of all kinds, in any width, whatever names are in the data."""

from __future__ import annotations

import math
import re
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import Adam
from recurrio.pipeline import Challenge, Records, Report, Trainer
from recurrio.pipeline.checkpoint import Checkpoints

pytest.importorskip("rich", reason="rich is not installed; pip install 'recurrio[cli]'")

from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from recurrio.pipeline.command.course import Course
from recurrio.pipeline.command.lines import fitted, flow, table
from recurrio.pipeline.command.live_records import LiveRecords
from recurrio.pipeline.command.outcome import Outcome
from recurrio.pipeline.command.record_lines import View, frame

ADDRESS = "tcp-listen://127.0.0.1:9999"
AHEAD = {"key": "k", "features": "x,y", "target": "x@+1"}
CLASSES = {"key": "k", "features": "x", "label": "state"}
LATER = {"key": "k", "features": "x", "label": "state", "id": "id"}
EVERYTHING = {"interval": 0.9, "alarm": 0.99, "drift": "page-hinkley", "season": 4}
NASTY = [
    "[red]x[/red]",
    "\x1b[2J\x1b[31m",
    "a\nb\rc\td",
    "日本語" * 20,
    "👩‍🚀🇩🇪❤️" * 9,
    "e" + "\u0301" * 2000,
    "\u202eabc",
    "\ud800",
    "a" * 4096,
    "",
    "\u0301\u0301",
    "[/]",
    "\\[b]",
]


def rows(count: int = 400, keys: int = 6) -> list[dict[str, Any]]:
    """A wave for each key, with a class, and now and then something that is no number."""
    found: list[dict[str, Any]] = []
    for n in range(count):
        x = math.sin(n / 9 + n % keys)
        found.append({"k": f"key-{n % keys}", "x": "junk" if n % 97 == 5 else x, "y": x * x, "state": str(x > 0)})
    return found


def later(labels: bool) -> list[dict[str, Any]]:
    found = [{"k": f"key-{n % 3}", "x": math.sin(n), "id": n} for n in range(100)]
    answers = [{"id": n + (n > 90) * 1000, "state": str(n % 2)} for n in range(95)]
    return [*found, *answers, *answers[:3]] if labels else found


@cache
def report_of(kind: str) -> tuple[dict[str, Any], Report | None]:
    """The last report of a run of this kind, and that of its last batch."""
    data, options, others = KINDS[kind]
    records = Records(data(), **options, challengers=others, seq_len=4, batch_size=4)
    reports: list[Report] = []
    trainer = Trainer(records.model(hidden_size=4, seed=0), Adam(0.01), executor="inline")
    trio.run(partial(trainer.run, records, on_report=reports.append))
    return records.report(), reports[-1] if reports else None


CHALLENGE = Challenge("--lr 0.05", {"hidden_size": 3}, partial(Adam, 0.05))
KINDS: dict[str, Any] = {
    "numbers": (rows, AHEAD, ()),
    "targets": (rows, AHEAD | {"target": "x@+1,y@+2,x@+3,y@+1"} | {"features": "x"}, ()),
    "classes": (rows, CLASSES, ()),
    "everything": (rows, AHEAD | EVERYTHING, (CHALLENGE,)),
    "everything of targets": (rows, AHEAD | {"target": "x@+1,y@+2", "interval": 0.9}, (CHALLENGE,)),
    "classes with a challenger": (rows, CLASSES, (CHALLENGE,)),
    "one key": (rows, {"features": "x", "target": "x@+1"}, ()),
    "labels later": (partial(later, True), LATER, ()),
    "no label": (partial(later, False), LATER, ()),
    "few": (partial(rows, 3), AHEAD, ()),
}


def view_of(kind: str, **more: Any) -> View:  # noqa: ANN401 (fields of a view)
    records, report = report_of(kind)
    records = {**records, **more}
    course = Course()
    for at in range(4):
        course.look(at, {**records, "records": at * records["records"] // 3}, at)
    return View([ADDRESS], course, 3.0, records, report, "checkpoint of step 3, 12 s ago")


def drawn(view: View, width: int, height: int = 100) -> list[str]:
    """The lines on a terminal of this size, as rich writes them without styles."""
    console = Console(file=StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    console.print(Group(*frame(view, width, height)))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().split("\n")[:-1]


def cells(line: str) -> int:
    return max(cell_len(line), sum(map(cell_len, line)))


SEVERAL = [
    {"source": ADDRESS, "received": 12, "rejected": 3, "dropped": 0, "open": 0, "connections": 1, "reconnects": 2},
    {"source": "a.csv", "received": 1_234_567, "rejected": 0, "dropped": 7, "waiting": 3},
    {"source": "log/" * 40 + "end.jsonl", "received": 0, "rejected": 0, "dropped": 0, "files": 0, "unread": 0},
    *[
        {"source": f"udp-listen://:{port}", "received": 1, "rejected": 0, "dropped": 0, "datagrams": 1}
        for port in range(9)
    ],
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("several", [False, True])
def test_no_line_is_wider_than_the_terminal(kind: str, several: bool) -> None:
    view = view_of(kind, **({"sources": SEVERAL} if several else {}))
    lines = 0
    for width in range(40, 121):
        found = [line.plain for line in frame(view, width, 100)]
        assert all(cells(line) <= width for line in found), (width, found)
        if width % 20 == 0:
            assert len(drawn(view, width)) == len(found)  # rich has broken none
        lines = max(lines, len(found))
    for height in range(1, lines + 1, 3):
        assert len(frame(view, 80, height)) <= height


@given(st.lists(st.text() | st.sampled_from(NASTY), min_size=5, max_size=5), st.integers(40, 120))
@settings(max_examples=60)
def test_names_of_the_data_are_escaped_and_measured(names: list[str], width: int) -> None:
    first, second, third, fourth, fifth = names
    worst = [{"key": name, "mae": 1.0, "naive_mae": 2.0, "skill": 0.5, "labels": 20} for name in (first, second)]
    source = {"source": third, "received": 1, "rejected": 0, "dropped": 0, "open": 1}
    of = report_of("targets")[0]["metrics"]
    metrics = {**of, "targets": {fourth: of["targets"]["x@+1"]}}
    more: dict[str, Any] = {"worst": worst, "sources": [source], "metrics": metrics, "missing": {fifth: 0.5}}
    view = view_of("targets", **more)._replace(names=names, problem=first)
    for each in (view, view._replace(records=None, report=None)):
        plain = view_of("targets", **{**more, "missing": {"x": 0.5}})
        found = drawn(each, width)
        assert all(cells(line) <= width and line.isprintable() for line in found), found
        assert len(found) == len(frame(each, width, 100))
        assert len(found) <= len(drawn(plain, width)) + 10


def test_markup_and_control_characters_are_shown() -> None:
    worst = [{"key": key, "mae": 1.0, "naive_mae": 2.0, "skill": 0.5, "labels": 20} for key in NASTY[:3]]
    shown = "\n".join(drawn(view_of("numbers", worst=worst), 80))
    assert all(text in shown for text in ("[red]x[/red]  ", r"\x1b[2J\x1b[31m  ", r"a\nb\rc\td  "))


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("width", [1, 2, 3, 12, 40])
def test_a_text_is_fitted_into_cells(text: str, width: int) -> None:
    short = fitted(text, width)
    assert cells(short) <= width
    assert len(short) <= 4 * width + 1
    assert short.isprintable()


def test_a_long_name_keeps_both_ends() -> None:
    assert fitted(ADDRESS, 20) == "tcp-listen….0.1:9999"
    assert fitted(ADDRESS, 40) == ADDRESS


def test_columns_that_have_no_room_are_left_out_from_the_right() -> None:
    rows: list[list[Any]] = [["a name", "12345", ("6", "bold")], ["日本日本日本", "1", ""]]
    assert [line.plain for line in table(["name", "one", "two"], rows, 30)] == [
        "name            one  two",
        "a name        12345    6",
        "日本日本日本      1",
    ]
    assert [line.plain for line in table(["name", "one", "two"], rows, 20)] == [
        "name            one",
        "a name        12345",
        "日本日本日本      1",
    ]
    assert [line.plain for line in flow(["a", "b", "c"], 5)] == ["a   b", "c"]


def shown(view: View, width: int = 80) -> str:
    return "\n".join(drawn(view, width))


def test_an_empty_state_says_what_it_waits_for() -> None:
    assert shown(View([ADDRESS], Course(), 0.0)) == f"waiting for the first record from {ADDRESS}"
    many = View(["a", "b", "c", "d", "e"], Course(), 0.0)
    assert shown(many) == "waiting for the first record from a b c and 2 more"


def test_labels_that_come_later_are_waited_for() -> None:
    records, _ = report_of("no label")
    labels = {**records["labels"], "waiting": 90, "given_up": 10}
    view = view_of("no label", labels=labels)._replace(report=None, now=20.0)
    assert "waiting for the first label; 90 records wait for theirs" in shown(view)
    assert re.search(r"labels   90 records waiting for theirs   10 records given up", shown(view))
    assert "no forecast has been scored yet" in shown(view)
    assert re.search(r"labels   9\d matched .* 3 twice", shown(view_of("labels later")))


def test_numbers_and_their_naive_ones() -> None:
    records, _ = report_of("numbers")
    metrics = records["metrics"]["window"]
    text = shown(view_of("numbers"))
    assert re.search(r"^forecasts +MAE +naive +skill +labels", text, re.MULTILINE)
    numbers = [
        f"{metrics['mae']:.5g}",
        f"{metrics['naive_mae']:.5g}",
        f"{metrics['skill']:+.3f}",
        f"{metrics['count']}",
    ]
    assert re.search(rf"^last {metrics['count']} +" + " +".join(map(re.escape, numbers)), text, re.MULTILINE)
    assert "5 rejected" in text
    assert re.search(r"^worst keys +MAE +naive +skill +labels\nkey-\d ", text, re.MULTILINE)
    assert re.search(r"^stage +busy +waits for input +for room +batches\nload ", text, re.MULTILINE)
    assert "checkpoint of step 3, 12 s ago" in text
    assert re.search(r"\d+ records +\d+ steps +[\d,]+ records/s +1.0 steps/s", text)


def test_classes_bounds_seasons_drifts_and_contests() -> None:
    assert re.search(
        r"^forecasts +accuracy +naive +skill +log loss +naive loss", shown(view_of("classes")), re.MULTILINE
    )
    text = shown(view_of("everything", drift={"count": 2, "last": 1234}))
    assert "in 90% bounds" in text
    assert re.search(r"naive ways: +last [\d.]+ +season [\d.]+ +drift [\d.]+", text)
    assert "2 drifts, the last at record 1,234" in text
    assert re.search(r"\d+ alarms", text)
    models = report_of("everything")[0]
    for one in models["contest"]:
        said = "leads" if one["name"] == models["leader"] else f"{one['evidence']:+.1f} of 6.9"
        assert re.search(rf"^{one['name']} +{re.escape(said)} ", text, re.MULTILINE)
    other = {**models["contest"][1], "failed": "nan"}
    assert re.search(r"^--lr 0.05 +failed", shown(view_of("everything", contest=[other])), re.MULTILINE)


def test_sources_say_what_they_wait_for_and_those_in_trouble_come_first() -> None:
    text = shown(view_of("numbers", sources=SEVERAL[::-1]))
    assert re.search(r"^source +records/s +now +received +rejected", text, re.MULTILINE)
    assert re.search(r"^tcp-listen\S+:9999 +\S+ +no connection +12 +3", text, re.MULTILINE)
    assert "and 7 more sources" in text
    text = shown(view_of("numbers", sources=SEVERAL[:3])._replace(now=400.0), 120)
    assert re.search(r"^log/\S+…\S*end.jsonl +\S+ +no file yet", text, re.MULTILINE)
    assert re.search(r"^a.csv +\S+ +3 wait +1,234,567 +0 +7", text, re.MULTILINE)
    heard = [{**source, "open": 1} for source in SEVERAL[:1]]
    assert "silent 7 min" in shown(view_of("numbers", sources=heard)._replace(now=400.0))
    assert "waiting: no batch for 7 min" in shown(view_of("numbers")._replace(now=400.0))


def test_what_has_gone_wrong_stands_at_the_top() -> None:
    view = view_of("numbers")._replace(problem="the checkpoint of step 7 was not written: out: No space left on device")
    assert shown(view).startswith("the checkpoint of step 7 was not written")
    (line, *_) = frame(view, 60, 5)
    assert line.plain.startswith("the checkpoint of step 7")
    assert line.plain.endswith("No space left on device")


def test_the_course_has_speeds_and_marks() -> None:
    course, sources = Course(), [{"received": 0}, {"received": 0}]
    assert course.speed is None
    for at in range(20):
        sources = [{"received": 30 * at}, {"received": min(at, 5)}]
        drift, leader = {"count": at // 10}, "champion" if at < 15 else "other"
        metrics = {"window": {"skill": at / 20}}
        report = {"records": 40 * at, "sources": sources, "drift": drift, "leader": leader, "metrics": metrics}
        course.look(at, report, 2 * at)
        course.look(at + 0.1, {**report, "records": 0}, 0)  # too soon to count
    assert course.speed == (40.0, 2.0, (30.0, 0.0))
    assert course.silent(20.0) == [1.0, 15.0]
    assert course.idle(20.0) == 1.0
    marked = {index: mark for index, (_, mark) in enumerate(course.skills) if mark}
    assert marked == {10: "▲", 15: "◆"}
    view = View([ADDRESS], course, 20.0, *report_of("few"))
    curve, marks, said = drawn(view, 100)[-3:]
    assert (curve[0], curve[19], marks) == ("▁", "█", " " * 10 + "▲" + " " * 4 + "◆")
    assert said == "skill of the last labels:   +0.000 to +0.950   ▲ drift   ◆ another model leads"


def test_checkpoints_are_shown_however_often_reports_come(tmp_path: Path) -> None:
    _, report = report_of("numbers")
    assert report is not None
    console = Console(file=StringIO(), width=80, height=40, force_terminal=True, color_system=None)
    display, checkpoints = LiveRecords(console, [ADDRESS]), Checkpoints(tmp_path)

    async def look(saved: int, problem: str | None) -> str:
        checkpoints.saved, checkpoints.saved_at, checkpoints.problem = saved, trio.current_time() - 100, problem
        display.report(report, {})
        display.tick(Outcome(), checkpoints)
        return "\n".join(line.plain for line in display.group(80, 40).renderables if isinstance(line, Text))

    with display:
        assert "checkpoint of step 7, 100 s ago" in trio.run(look, 7, None)
        assert trio.run(look, 7, "it was not written: disk full").startswith("it was not written: disk full")
        assert "not written" not in trio.run(look, 8, None)


def test_what_is_said_is_not_interpreted() -> None:
    console = Console(file=StringIO(), width=80, height=40, force_terminal=True, color_system=None)
    LiveRecords(console, []).warn("rejected: [red]\x1b[2J :smile:")
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue() == "warning: rejected: [red]\\x1b[2J :smile:\n"
