"""The timeline: what it remembers, the trace that it writes, and the picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from recurrio.pipeline.observe.timeline import Span, Timeline

SVG = "{http://www.w3.org/2000/svg}"
WRITERS = pytest.mark.parametrize("write", [Timeline.write_trace, Timeline.write_svg], ids=["trace", "svg"])
Write = Callable[[Timeline, Path], None]


def pipelined(batches: int) -> Timeline:
    """A run of two shards from second 1000 on: a batch each 10 ms, and each batch is 30 ms under way."""
    timeline = Timeline()
    for batch in range(batches):
        start, version = 1000 + batch * 0.01, max(0, batch - 2)
        timeline.add("load", batch, None, start, start + 0.004)
        for shard in (1, 0):
            timeline.add(f"forward {shard}", batch, version, start + 0.005, start + 0.014)
            timeline.add(f"backward {shard}", batch, version, start + 0.015, start + 0.025)
        timeline.add("update", batch, version, start + 0.025, start + 0.03)
    return timeline


def trace(timeline: Timeline, folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The metadata and the complete events of the written trace."""
    timeline.write_trace(folder / "trace.json")
    events = json.loads((folder / "trace.json").read_text(encoding="utf-8"))["traceEvents"]
    assert {event["ph"] for event in events} <= {"M", "X"}
    return [event for event in events if event["ph"] == "M"], [event for event in events if event["ph"] == "X"]


def picture(timeline: Timeline, folder: Path) -> ElementTree.Element:
    timeline.write_svg(folder / "picture.svg")
    return ElementTree.fromstring((folder / "picture.svg").read_bytes())


def bars(svg: ElementTree.Element) -> dict[str, tuple[float, float, float, str]]:
    """For each rect, under its tooltip: left, right, top and colour."""
    found = {}
    for rect in svg.iter(f"{SVG}rect"):
        x, width, y = (float(rect.attrib[key]) for key in ("x", "width", "y"))
        found[rect.findtext(f"{SVG}title", "")] = (x, x + width, y, rect.attrib["fill"])
    assert len(found) == len(list(svg.iter(f"{SVG}rect")))
    return found


def texts(svg: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in svg.iter(f"{SVG}text")]


def test_the_last_spans_are_remembered() -> None:
    timeline = Timeline(limit=3)
    for batch in range(10):
        timeline.add("load", batch, None, batch, batch + 1)
    assert timeline.spans == [Span("load", batch, None, batch, batch + 1) for batch in (7, 8, 9)]


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_limit_is_a_positive_whole_number(limit: int) -> None:
    with pytest.raises(ValueError, match="limit of the timeline: expected a whole number of at least 1"):
        Timeline(limit)


def test_tasks_are_in_pipeline_order_and_others_follow() -> None:
    timeline = Timeline()
    for task in ("zip 1", "update", "backward 1", "forward 10", "augment", "forward 2", "zip 1", "backward 0", "load"):
        timeline.add(task, 0, None, 0, 1)
    assert timeline.tasks == [
        *("load", "forward 2", "forward 10", "backward 0", "backward 1", "update"),
        *("zip 1", "augment"),
    ]


def test_the_trace_names_a_thread_for_each_task(tmp_path: Path) -> None:
    metadata, events = trace(pipelined(3), tmp_path)
    assert [event["args"] for event in metadata if event["name"] == "process_name"] == [{"name": "recurrio"}]
    names = {event["tid"]: event["args"]["name"] for event in metadata if event["name"] == "thread_name"}
    order = {event["tid"]: event["args"]["sort_index"] for event in metadata if event["name"] == "thread_sort_index"}
    tasks = ["load", "forward 0", "forward 1", "backward 0", "backward 1", "update"]
    assert [names[thread] for thread in sorted(order, key=lambda thread: order[thread])] == tasks
    assert len({event["pid"] for event in metadata + events}) == 1
    for event in events:
        shard = event["args"]["shard"]
        assert names[event["tid"]] == (event["cat"] if shard is None else f"{event['cat']} {shard}")


def test_the_trace_has_an_event_for_each_span(tmp_path: Path) -> None:
    timeline = pipelined(3)
    _, events = trace(timeline, tmp_path)
    assert len(events) == len(timeline.spans) == 18
    load, forward = events[0], next(e for e in events if e["cat"] == "forward" and e["name"] == "batch 2")
    assert (load["name"], load["cat"], load["ts"], load["dur"]) == ("batch 0", "load", 0, 4000)
    assert load["args"] == {"batch": 0, "shard": None, "version": None}
    assert (forward["ts"], forward["dur"]) == (25000, 9000)
    assert forward["args"] == {"batch": 2, "shard": 1, "version": 0}


def test_the_trace_counts_time_from_the_earliest_start(tmp_path: Path) -> None:
    timeline = Timeline(limit=2)
    timeline.add("load", 0, None, 1, 2)  # forgotten
    timeline.add("forward 0", 0, 0, 50.5, 50.75)
    timeline.add("load", 1, None, 50.25, 51)  # began earlier, ended later
    _, events = trace(timeline, tmp_path)
    assert [(event["ts"], event["dur"]) for event in events] == [(250_000, 250_000), (0, 750_000)]


def test_adjacent_events_of_a_thread_do_not_overlap(tmp_path: Path) -> None:
    timeline = Timeline()
    times = [1000 + index * 1.37e-6 for index in range(500)]
    for batch, (start, end) in enumerate(pairwise(times)):
        timeline.add("load", batch, None, start, end)
    _, events = trace(timeline, tmp_path)
    assert all(before["ts"] + before["dur"] == after["ts"] for before, after in pairwise(events))


def test_the_picture_has_a_bar_for_each_span_of_the_last_twelve_batches(tmp_path: Path) -> None:
    svg = picture(pipelined(40), tmp_path)
    found = bars(svg)
    assert len(found) == 12 * 6
    assert "forward 1, batch 28, version 26, 9.000 ms" in found
    assert "load, batch 39, 4.000 ms" in found
    assert not [title for title in found if "batch 27," in title]
    assert "the last 12 of 40 batches" in texts(svg)[0]
    assert texts(svg).count("28") >= 1  # inside the bars
    assert all(0 < left < right <= 1200 for left, right, _, _ in found.values())


def test_each_task_has_its_row_under_its_name(tmp_path: Path) -> None:
    timeline = pipelined(5)
    svg = picture(timeline, tmp_path)
    labels = {text.text: float(text.attrib["y"]) for text in svg.iter(f"{SVG}text") if text.text in timeline.tasks}
    assert sorted(labels, key=lambda task: labels[task]) == timeline.tasks
    for title, (_, _, top, _) in bars(svg).items():
        assert top < labels[title.split(",")[0]] < top + 26


def test_a_batch_has_one_colour_and_its_neighbours_have_others(tmp_path: Path) -> None:
    colours: dict[str, set[str]] = {}
    for title, (*_, colour) in bars(picture(pipelined(12), tmp_path)).items():
        colours.setdefault(title.split(", ")[1], set()).add(colour)
    assert [len(of_batch) for of_batch in colours.values()] == [1] * 12
    in_order = [colours[f"batch {batch}"] for batch in range(12)]
    assert all(len(set().union(*in_order[batch : batch + 6])) == 6 for batch in range(7))


def test_spans_overlap_in_the_picture_as_they_did_in_time(tmp_path: Path) -> None:
    timeline = Timeline()
    timeline.add("forward 0", 1, 0, 7.000, 7.100)
    timeline.add("backward 0", 0, 0, 7.050, 7.150)
    timeline.add("update", 0, 0, 7.150, 7.200)
    found = bars(picture(timeline, tmp_path))
    forward = found["forward 0, batch 1, version 0, 100.000 ms"]
    backward = found["backward 0, batch 0, version 0, 100.000 ms"]
    update = found["update, batch 0, version 0, 50.000 ms"]
    assert forward[0] < backward[0] < forward[1] < backward[1]
    assert backward[0] == pytest.approx((forward[0] + forward[1]) / 2, abs=0.02)  # to scale
    assert update[0] == pytest.approx(backward[1], abs=0.02)
    assert len({forward[2], backward[2], update[2]}) == 3


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.2, ["0 ms", "20 ms", "200 ms"]),
        (0.0034, ["0.0 ms", "0.5 ms", "3.0 ms"]),
        (72, ["0 ms", "10000 ms", "70000 ms"]),
        (0.01, ["0 ms", "1 ms", "10 ms"]),
    ],
)
def test_the_axis_has_round_ticks(tmp_path: Path, seconds: float, labels: list[str]) -> None:
    timeline = Timeline()
    timeline.add("load", 0, None, 0, seconds)
    ticks = [text for text in texts(picture(timeline, tmp_path)) if text.endswith(" ms")]
    assert [ticks[0], ticks[1], ticks[-1]] == labels
    assert 5 <= len(ticks) <= 11


def test_every_text_is_escaped(tmp_path: Path) -> None:
    timeline = Timeline()
    timeline.add('a<b&"c', 0, None, 0, 1)
    timeline.add("bell\x07 \udc80", 0, None, 0, 1)  # what XML and UTF-8 cannot hold
    svg = picture(timeline, tmp_path)
    assert {'a<b&"c', "bell� �"} <= set(texts(svg))
    assert set(bars(svg)) == {'a<b&"c, batch 0, 1000.000 ms', "bell� �, batch 0, 1000.000 ms"}
    metadata, _ = trace(timeline, tmp_path)
    assert 'a<b&"c' in [event["args"].get("name") for event in metadata]


def test_a_long_name_is_cut_beside_its_row_and_whole_in_the_tooltip(tmp_path: Path) -> None:
    timeline = Timeline()
    timeline.add("x" * 200, 0, None, 0, 1)
    svg = picture(timeline, tmp_path)
    ((title, (left, right, *_)),) = bars(svg).items()
    assert title.startswith("x" * 200)
    assert "x" * 23 + "…" in texts(svg)
    assert right - left > 900


def test_an_empty_timeline_says_so(tmp_path: Path) -> None:
    svg = picture(Timeline(), tmp_path)
    assert texts(svg) == ["Nothing was recorded."]
    assert bars(svg) == {}
    metadata, events = trace(Timeline(), tmp_path)
    assert ([event["name"] for event in metadata], events) == (["process_name"], [])


@pytest.mark.parametrize("count", [1, 3])
def test_spans_of_zero_length_are_visible(tmp_path: Path, count: int) -> None:
    timeline = Timeline()
    for batch in range(count):
        timeline.add("load", batch, None, 5, 5)
    found = bars(picture(timeline, tmp_path))
    assert len(found) == count
    assert all(0 < left < right <= 1200 for left, right, _, _ in found.values())
    _, events = trace(timeline, tmp_path)
    assert [(event["ts"], event["dur"]) for event in events] == [(0, 0)] * count


@WRITERS
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path, write: Write) -> None:
    (tmp_path / "file").write_text("old")
    write(pipelined(1), tmp_path / "file")
    assert "batch 0" in (tmp_path / "file").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@WRITERS
@pytest.mark.parametrize("path", ["missing/file", "plain/file", "folder"])
def test_a_write_that_fails_raises_and_leaves_nothing_behind(tmp_path: Path, write: Write, path: str) -> None:
    (tmp_path / "plain").write_text("no folder")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=path.split("/")[0]):
        write(pipelined(1), tmp_path / path)
    assert sorted(found.name for found in tmp_path.rglob("*")) == ["folder", "plain"]


def test_the_overlap_is_the_share_of_the_time_in_which_several_compute() -> None:
    timeline = Timeline()
    assert timeline.overlap == 0.0
    for task, start, end in (("load", 0, 4), ("forward 0", 2, 5), ("backward 0", 3, 4), ("update", 7, 9)):
        timeline.add(task, 0, None, start, end)
    assert timeline.overlap == 2 / 7  # from 2 to 4, of 0 to 5 and 7 to 9


def test_the_lines_have_who_computed_the_last_batches_when() -> None:
    timeline = Timeline()
    assert timeline.lines(2, 10) == []
    for batch in range(9, 12):
        timeline.add("load", batch, None, batch, batch + 0.5)
        timeline.add("update", batch, None, batch + 0.5, batch + 1)
    assert timeline.lines(2, 8) == ["load   |00  11  |", "update |  00  11|"]
    timeline.add("an instant", 11, None, 11.9, 11.9)
    assert timeline.lines(1, 4)[-1] == "an instant |   1|"
