"""Labels that come later, from bytes through a trainer: in every format, in any order, and by the clock."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from support.late import GIVEN, Items, make, train
from support.streams import Bytes, as_jsonl, bits, cut, open_bytes

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.lanes.decisions import GIVE_UP
from recurrio.pipeline.lanes.forecast import Forecast


def as_csv(items: Items) -> bytes:
    rows = [",".join(str(item.get(name, "")) for name in ("n", "k", "x", "y")) for item in items]
    return "\n".join(["n,k,x,y", *rows, ""]).encode()


def as_raw(items: Items) -> bytes:
    kind = np.dtype([("n", "<i8"), ("k", "S8"), ("x", "<f8"), ("y", "S8")])
    rows = [(item["n"], item.get("k", ""), item.get("x", np.nan), item.get("y", "")) for item in items]
    return np.array(rows, kind).tobytes()


async def test_they_come_in_every_format_with_the_same_bits() -> None:
    _, _, mixed = make()
    mixed.insert(50, {"n": 10**9, "y": "high"})  # of nobody
    mixed.insert(90, next(item for item in mixed[80:] if "y" in item))  # again
    reference, report = await train(Records(mixed, **GIVEN))
    assert report["applied"] == 200
    assert report["labels"]["matched"] == 200
    assert report["labels"]["unmatched"] == report["labels"]["twice"] == 1
    forms = {"jsonl": as_jsonl(mixed), "csv": as_csv(mixed), "tsv": as_csv(mixed).replace(b",", b"\t")}
    forms["raw"] = as_raw(mixed)
    options = RecordOptions(dtype="n:i8,k:S8,x:f8,y:S8")
    for form, data in forms.items():
        pieces = cut(data, range(0, len(data), 97))
        source = lambda fields, form=form, pieces=pieces: DecodedBlocks(Bytes(pieces), form, fields, options)  # noqa: E731
        trainer, other = await train(Records((), **GIVEN, _source=source))
        assert bits(trainer.state) == bits(reference.state), form
        assert {**other, "sources": None} == {**report, "sources": None}


@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("delay", [0, 1])
async def test_the_model_does_not_depend_on_the_executor(shards: int, delay: int) -> None:
    _, _, mixed = make()
    states = []
    for executor in ("inline", "thread", "process"):
        records = Records(mixed, **GIVEN)
        trainer = Trainer(
            records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, shards=shards, delay=delay, executor=executor
        )
        await trainer.run(records)
        states.append(bits(trainer.state))
    assert states[0] == states[1] == states[2]


async def test_a_target_that_is_a_number_comes_later_too() -> None:
    records, _, _ = make(4000)
    rng = np.random.default_rng(1)
    items: Items = []
    for at, record in enumerate(records):
        items.append(record)
        if at >= 20:
            of = records[at - 20]
            items.append({"n": of["n"], "y": 1000 + 30 * of["x"] + float(rng.standard_normal())})
    opened = Records(items, **{**GIVEN, "label": None, "target": "y", "batch_size": 7})
    trainer = Trainer(opened.model(hidden_size=16, seed=1), Adam(0.01), clip=1.0, executor="inline")
    await trainer.run(opened)
    report = opened.report()
    assert (report["applied"], report["unlabelled"]) == (3980, 20)
    assert report["metrics"]["all"]["count"] == 3980 - 21  # before the first label there is no naive forecast
    assert report["metrics"]["window"]["skill"] > 0.7


async def test_bounds_do_not_depend_on_how_records_and_labels_are_cut() -> None:
    records, _, _ = make(600)
    rng = np.random.default_rng(1)
    items: Items = []
    for at, record in enumerate(records):
        items.append(record)
        if at >= 20 and at % 7:
            items.append({"n": records[at - 20]["n"], "y": 30 * record["x"] + float(rng.standard_normal())})
    given = {**GIVEN, "label": None, "target": "y", "interval": 0.8, "alarm": 0.95}
    reports, states = [], []
    for places in ([], range(0, 60_000, 111), range(0, 60_000, 1500)):
        trainer, report = await train(open_bytes(cut(as_jsonl(items), places), **given))
        reports.append({**report, "sources": None})
        states.append(bits(trainer.state))
    assert reports[0] == reports[1] == reports[2]
    assert states[0] == states[1] == states[2]
    assert reports[0]["bounds"]["all"]["count"] > 400
    assert abs(reports[0]["bounds"]["all"]["coverage"] - 0.8) < 0.03
    assert reports[0]["bounds"]["alarms"] > 5


async def test_records_without_a_label_are_given_up_in_time(autojump_clock: trio.testing.MockClock) -> None:
    """The label of every tenth record never comes: those behind it are trained on when the wait is over."""
    records, labels, _ = make(400)
    some = [label for label in labels if label["n"] % 10]
    pieces = [as_jsonl(records[at * 20 : at * 20 + 20] + some[at * 18 : at * 18 + 18]) for at in range(20)]
    times, arrived = list[tuple[float, int]](), list[float]()
    opened = open_bytes(pieces, pause=10.0, **GIVEN, target=(), label_wait=25.0, linger=1.0)
    trainer = Trainer(opened.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")

    def note_arrival(forecast: Forecast) -> None:
        if (forecast.number + len(forecast.values)) % 20 == 0:
            arrived.append(trio.current_time())

    def note(_: object) -> None:
        report = opened.report()
        times.append((trio.current_time(), report["applied"]))

    opened.on_forecasts = note_arrival
    await trainer.run(opened, on_report=note)
    report = opened.report()
    assert len(arrived) == 20
    assert (report["applied"], report["unlabelled"]) == (360, 40)
    assert report["labels"]["given_up"] == 40
    for block, came in enumerate(arrived):  # nobody waits longer than 25 seconds, and the linger: and a sixteenth more
        when = next(time for time, applied in times if applied >= 18 * (block + 1))
        assert when <= came + 26 * 17 / 16 + 1e-6
    log = opened.log.kept
    assert GIVE_UP in {decision.kind for decision in log}
    again = open_bytes([b"".join(pieces)], **GIVEN, target=(), decisions=log)
    repeated, _ = await train(again)
    assert bits(repeated.state) == bits(trainer.state)


async def test_a_label_that_is_too_late_is_counted_and_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    records, labels, _ = make(20)
    first, late = as_jsonl(records[:10]), as_jsonl(labels[:10])
    opened = open_bytes([first, b"", b"", late], pause=10.0, **GIVEN, target=(), label_wait=15.0)
    _, report = await train(opened)
    assert report["labels"]["late"] == report["labels"]["given_up"] == report["unlabelled"] == 10
    assert report["labels"]["matched"] == 0


async def test_a_label_waits_for_its_record_as_long(autojump_clock: trio.testing.MockClock) -> None:
    records, labels, _ = make(20)
    pieces = [as_jsonl(labels[:10]), as_jsonl(records[:5]), b"", as_jsonl(records[5:10])]
    _, report = await train(open_bytes(pieces, pause=10.0, **GIVEN, target=(), label_wait=15.0))
    assert (report["labels"]["matched"], report["labels"]["unmatched"], report["applied"]) == (5, 5, 5)


@pytest.mark.parametrize(
    ("items", "labels", "unlabelled"),
    [
        ([("r", 1), ("l", 1, "a"), ("l", 1, "b")], {"matched": 1, "twice": 1}, 0),
        ([("l", 1, "a"), ("l", 1, "b"), ("r", 1)], {"matched": 1, "twice": 1}, 0),
        ([("r", 1), ("l", 1, "a"), ("r", 1), ("l", 1, "b")], {"matched": 2}, 0),  # an id used again is a new wait
        ([("r", 1), ("r", 1), ("l", 1, "b")], {"matched": 1, "given_up": 1}, 1),
        ([("r", 1), ("l", "1", "a")], {"matched": 1}, 0),  # a number and its text are one id
        ([("r", 0), ("l", 0, "a")], {"matched": 1}, 0),
        ([("r", 1), ("l", 1, None)], {"matched": 0, "given_up": 1}, 1),  # no label, and nothing else: a record
        ([("c", 1, "a"), ("l", 1, "b")], {"matched": 1, "twice": 1}, 0),
        ([("l", 1, "a"), ("c", 1, "b")], {"matched": 1, "twice": 1}, 0),
        ([("r", 1), ("l", 2, "a")], {"matched": 0, "unmatched": 1, "given_up": 1}, 1),
    ],
    ids=str,
)
async def test_which_label_is_whose(items: list[tuple[Any, ...]], labels: dict[str, int], unlabelled: int) -> None:
    lines = []
    for kind, id, *answer in items:
        record = {"n": id} | ({"k": "a", "x": 1.0} if kind in "rc" else {}) | ({"y": answer[0]} if answer else {})
        lines.append(record)
    _, report = await train(Records(lines, **GIVEN), apart=not any(item[0] == "c" for item in items))
    found = {name: report["labels"][name] for name in labels}
    assert found == labels
    assert report["unlabelled"] == unlabelled


async def test_labels_that_find_no_record_are_said_once() -> None:
    records, labels, _ = make(1500)
    said: list[str] = []
    other = [{**label, "n": f"order {label['n']}"} for label in labels]
    await train(Records([records, other[:900], other[900:]], **GIVEN, on_warning=said.append))
    assert said == [
        "1,500 labels and 1,500 records have waited, and none has found another: is --id n right, for both?"
    ]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match="target: expected one of the same record"):
        Records([], features="x", target="x@+1", id="n")
    with pytest.raises(ArgumentError, match="label_wait: expected the id"):
        Records([], features="x", label="y", label_wait=3)
    with pytest.raises(ArgumentError, match="max_waiting"):
        Records([], features="x", label="y", id="n", max_waiting=0)


async def test_labels_that_are_there_first_are_no_reason_to_warn(tmp_path: Path) -> None:
    records, labels, _ = make(3000)
    said: list[str] = []
    _, report = await train(Records([labels, records], **GIVEN, on_warning=said.append))
    assert (said, report["applied"]) == ([], 3000)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"id": "k"}, "id"),
        ({"id": "y"}, "id"),
        ({"id": "x"}, "id"),
        ({"id": "t", "time": "t"}, "id"),
        ({"id": "n", "time": "t", "max_gap": 5.0}, "max_gap"),
        ({"id": None, "max_waiting": -3}, "max_waiting"),
    ],
    ids=str,
)
def test_what_means_nothing_is_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{named}: expected"):
        Records([], **{**GIVEN, **given})


async def test_that_no_label_comes_is_said() -> None:
    records, _, _ = make(100)
    said: list[str] = []
    await train(Records(records, **GIVEN, on_warning=said.append))
    assert said == ["no label has come, of any record: is --label, or --target, the field that they have?"]
