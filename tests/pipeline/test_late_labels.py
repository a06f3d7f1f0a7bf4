"""Labels that come later, from bytes through a trainer: in every format, from other sources, and by the clock."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
import trio.testing
from support.live import port_in, until
from support.streams import Bytes, as_jsonl, bits, cut, open_bytes

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Records, Trainer, open_records
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.lanes.decisions import GIVE_UP
from recurrio.pipeline.lanes.forecasts import Forecast

GIVEN: dict[str, Any] = {"features": "x", "label": "y", "key": "k", "id": "n", "seq_len": 4, "batch_size": 6}


Items = list[dict[str, Any]]


def make(count: int = 200, delay: int = 9, seed: int = 0) -> tuple[Items, Items, Items]:
    """Records, labels, and both in the order in which they come."""
    rng = np.random.default_rng(seed)
    records = [{"n": n, "k": f"key {n % 7}", "x": round(float(rng.standard_normal()), 3)} for n in range(count)]
    labels = [{"n": record["n"], "y": "high" if record["x"] > 0 else "low"} for record in records]
    mixed: Items = []
    for at, record in enumerate(records):
        mixed.append(record)
        if at >= delay:
            mixed.append(labels[at - delay])
    return records, labels, mixed + labels[count - delay :]


async def train(records: Records, *, apart: bool = True) -> tuple[Trainer, dict[str, Any]]:
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    with trio.fail_after(1e6):
        await trainer.run(records)
    report = records.report()
    assert report["records"] == sum(report[part] for part in ("applied", "unlabelled", "dropped", "rejected"))
    labels = report["labels"]
    assert labels["received"] == sum(labels[part] for part in ("matched", "twice", "late", "unmatched", "early"))
    came = sum(source["received"] for source in report["sources"])
    assert came == report["records"] + labels["received"] or not apart
    return trainer, report


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


async def test_a_label_comes_from_a_file_of_its_own_in_another_format(tmp_path: Path) -> None:
    records, labels, _ = make(3000)
    (tmp_path / "records.jsonl").write_bytes(as_jsonl(records))
    (tmp_path / "labels.csv").write_text("y,n\n" + "".join(f"{label['y']},{label['n']}\n" for label in labels))
    arguments = {**GIVEN, "label_from": tmp_path / "labels.csv"}
    async with open_records(tmp_path / "records.jsonl", **arguments) as opened:
        first, report = await train(opened)
        log = opened.log.kept
    assert (report["applied"], report["labels"]["matched"]) == (3000, 3000)
    assert [source["received"] for source in report["sources"]] == [3000, 3000]
    async with open_records(tmp_path / "records.jsonl", **arguments, decisions=log) as opened:
        again, _ = await train(opened)
    assert bits(again.state) == bits(first.state)


async def test_of_two_files_neither_gets_far_ahead_of_the_other(tmp_path: Path) -> None:
    """Short labels, long records, and room for few: all are matched all the same."""
    records, labels, _ = make(40_000)
    for record in records:
        record["note"] = "n" * 200
    (tmp_path / "records.jsonl").write_bytes(as_jsonl(records))
    (tmp_path / "labels.jsonl").write_bytes(as_jsonl(labels))
    given = {**GIVEN, "max_waiting": 25_000, "label_from": tmp_path / "labels.jsonl", "batch_size": 64}
    async with open_records(tmp_path / "records.jsonl", **given) as opened:
        _, report = await train(opened)
    assert report["labels"]["matched"] == 40_000


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


async def test_labels_over_tcp_with_records_over_udp() -> None:
    records, labels, _ = make(300)
    notices: list[str] = []
    given = {**GIVEN, "label_from": "tcp-listen://127.0.0.1:0", "on_notice": notices.append}
    async with trio.open_nursery() as nursery, open_records("udp-listen://127.0.0.1:0", **given) as opened:
        trainer = Trainer(opened.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")

        async def send() -> None:
            datagrams, stream_port = (port_in(text) for text in notices)
            with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as sock:
                for record in records:
                    await sock.sendto(json.dumps(record).encode(), ("127.0.0.1", datagrams))
            async with await trio.open_tcp_stream("127.0.0.1", stream_port) as stream:
                await stream.send_all(b"GET / HTTP/1.1\r\n\r\n\r\n" + b"{}\n" * 3)  # a stranger
            async with await trio.open_tcp_stream("127.0.0.1", stream_port) as stream:
                await stream.send_all(as_jsonl(labels))
            await until(lambda: opened.report()["labels"]["matched"] == 300)
            trainer.stop(5.0)

        nursery.start_soon(send)
        await trainer.run(opened)
        report = opened.report()
    assert report["labels"]["matched"] == 300
    assert report["sources"][1]["received"] >= 300
    assert report["sources"][1]["rejected"] >= 1


async def test_labels_that_find_no_record_are_said_once() -> None:
    records, labels, _ = make(1500)
    said: list[str] = []
    other = [{**label, "n": f"order {label['n']}"} for label in labels]
    await train(Records([records, other[:900], other[900:]], **GIVEN, on_warning=said.append))
    assert said == ["none of 1,500 labels so far has found its record: is --id n right, for both?"]


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match="target: expected one of the same record"):
        Records([], features="x", target="x@+1", id="n")
    with pytest.raises(ArgumentError, match="label_wait: expected the id"):
        Records([], features="x", label="y", label_wait=3)
    with pytest.raises(ArgumentError, match="max_waiting"):
        Records([], features="x", label="y", id="n", max_waiting=0)


async def test_the_id_of_labels_from_elsewhere_is_id(tmp_path: Path) -> None:
    records, labels, _ = make(100)
    for name, items in (("records", records), ("labels", labels)):
        (tmp_path / name).write_bytes(as_jsonl([{**item, "id": item["n"]} for item in items]))
    arguments = {**GIVEN, "id": None, "label_from": tmp_path / "labels"}
    async with open_records(tmp_path / "records", **arguments) as opened:
        _, report = await train(opened)
    assert report["labels"]["matched"] == 100


async def test_a_wall_clock_that_is_set_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back an hour, then ahead a day, in a run with a linger, a time to live and a wait for labels."""
    wall, shift = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: wall() + shift[0])
    said, times = list[str](), list[float]()
    fields: dict[str, Any] = {"features": "x", "label": "y", "key": "k", "id": "n", "batch_size": 4, "seq_len": 4}
    waits: dict[str, Any] = {"linger": 0.05, "key_ttl": 600.0, "label_wait": 600.0}
    async with (
        open_records("tcp-listen://127.0.0.1:0", on_notice=said.append, **fields, **waits) as records,
        trio.open_nursery() as nursery,
    ):
        trainer = Trainer(records.model(hidden_size=4, seed=1), Adam(0.01), executor="inline")

        async def produce() -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port_in(said[0])) as stream:
                for number in range(60):
                    shift[0] = {20: -3600.0, 40: 86_400.0}.get(number, shift[0])
                    await stream.send_all(f'{{"n":{number},"k":"k{number % 3}","x":{number % 5}}}\n'.encode())
                    await stream.send_all(f'{{"n":{number},"y":"{number % 2}"}}\n'.encode())
                    await trio.sleep(0.01)
                await trio.sleep(0.3)
            trainer.stop(1.0)

        nursery.start_soon(produce)
        await trainer.run(records, on_report=lambda report: times.append(trio.current_time()))
        report = records.report()
    assert (report["applied"], report["expired"], report["labels"]["given_up"]) == (60, 0, 0)
    assert max(stop - start for start, stop in pairwise(times[:-1])) < 0.3  # no stall
    assert len(times) < 60  # and no burst of cuts
