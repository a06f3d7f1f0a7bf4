"""Labels that come later from sources of their own: files, and sockets."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from support.late import GIVEN, make, train
from support.live import port_in, until
from support.streams import as_jsonl, bits

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Trainer, open_records
from recurrio.pipeline.decoding.options import RecordOptions


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


@pytest.mark.parametrize(("every", "of"), [(10, 1), (1, 10), (50, 1), (2, 1)])
async def test_of_two_files_one_may_have_many_more(every: int, of: int, tmp_path: Path) -> None:
    """Few records have a label, or few labels a record: those that have one find it all the same."""
    records, labels, _ = make(10_000)
    (tmp_path / "records.jsonl").write_bytes(as_jsonl(records[::of]))
    (tmp_path / "labels.jsonl").write_bytes(as_jsonl(labels[::every]))
    given = {**GIVEN, "max_waiting": 1000, "label_from": tmp_path / "labels.jsonl", "batch_size": 64}
    async with open_records(tmp_path / "records.jsonl", **given) as opened:
        _, report = await train(opened)
    assert report["labels"]["matched"] == 10_000 // max(every, of)


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


async def test_a_file_does_not_wait_for_labels_that_may_never_come(tmp_path: Path) -> None:
    """Nobody sends labels: the file is read to its end, and the oldest records are given up for want of room."""
    records, _, _ = make(6000)
    (tmp_path / "r.jsonl").write_bytes(as_jsonl(records))
    arguments = {**GIVEN, "label_from": "tcp-listen://127.0.0.1:0", "max_waiting": 1000, "batch_size": 64}
    async with open_records(tmp_path / "r.jsonl", **arguments) as opened, trio.open_nursery() as nursery:
        trainer = Trainer(opened.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")
        nursery.start_soon(trainer.run, opened)
        await until(lambda: opened.report().get("labels", {}).get("given_up") == 5000)
        trainer.stop(1.0)


async def test_labels_in_messages_are_json_lines() -> None:
    options = RecordOptions(columns=("n", "k", "x"))
    given = {**GIVEN, "format": "csv", "options": options, "label_from": "udp-listen://127.0.0.1:0"}
    with pytest.raises(ArgumentError, match=r"^label_from: expected JSON lines"):
        async with open_records("udp-listen://127.0.0.1:0", **given):
            pass


async def test_a_source_is_opened_once() -> None:
    with pytest.raises(ArgumentError, match=r"^addresses: expected each once, got -"):
        async with open_records("-", **GIVEN, label_from="-"):
            pass
