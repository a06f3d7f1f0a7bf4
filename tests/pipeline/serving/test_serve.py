"""A run that is asked while it goes on: it answers as it would have, and goes on as if it had not been asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trio
from support.asking import GIVEN, Client, Run
from support.streams import make_data

pytest.importorskip("h11", reason="needs recurrio[serve]")
pytest.importorskip("prometheus_client", reason="needs recurrio[serve]")

from prometheus_client.parser import text_string_to_metric_families

from recurrio.core import Adam, SequenceModel
from recurrio.core.base.parameters import Array
from recurrio.pipeline import Records, Trainer, open_source
from recurrio.pipeline.serving import answers
from recurrio.pipeline.serving.server import serve
from recurrio.pipeline.serving.status import Status


def bits(run: Run) -> dict[str, bytes]:
    parts = run.trainer.state.dump(), run.records.dump()
    return {f"{at} {name}": array.tobytes() for at, part in enumerate(parts) for name, array in part.arrays.items()}


@pytest.mark.parametrize(
    "running", [{}, {"executor": "thread", "delay": 2}, {"executor": "process", "shards": 2}], ids=str
)
async def test_answers_name_a_version_and_are_made_by_it(
    running: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked during some 1,000 updates: the parameters are those of the serial run, and nothing of the run changes."""
    count = 1000 if running == {} else 150
    rows = make_data(8 * count, 5)
    used: list[tuple[int, bytes]] = []
    suppose = Records.suppose

    def noted(self: Records, items: Any, version: int, parameters: Array) -> Any:  # noqa: ANN401
        used.append((version, parameters.tobytes()))
        return suppose(self, items, version, parameters)

    monkeypatch.setattr(Records, "suppose", noted)
    asked, alone = Run(rows, 0.002, 12, **running), Run(rows, 0, 12, **running)
    answered: list[int] = []

    async def ask(client: Client) -> None:
        while not asked.finished:
            status, line = await client.predict({"k": "key 1", "x": 0.5, "c": "b"})
            assert status == 200
            answered.append(line["version"])
            await trio.sleep(0.002)

    await asked.go(ask)
    await alone.go()
    assert asked.trainer.step > count
    assert len(set(answered)) > 20
    assert answered == [version for version, _ in used]
    assert answered == sorted(answered)
    assert all(alone.versions[version] == parameters for version, parameters in used)
    assert bits(asked) == bits(alone)


async def test_what_is_said_of_a_record_is_what_the_stream_then_says() -> None:
    rows = make_data(400, 3)
    said: list[dict[str, Any]] = []

    async def come() -> AsyncIterator[dict[str, Any]]:
        for number, row in enumerate(rows):
            if 100 <= number < 150:
                status, line = await client.predict(row)
                assert status == 200
                said.append(line)
            yield row

    records = Records(come(), **GIVEN)
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")
    async with trio.open_nursery() as nursery:
        client = Client(await nursery.start(partial(serve, trainer, records)))
        await trainer.run(records)
        for key in {row["k"] for row in rows}:
            lines = (await client.get(f"/predictions?key={key.replace(' ', '%20')}"))["predictions"]
            own = {line["record"]: line for line in lines}
            for number, line in enumerate(said, 100):
                if line["key"] == key:
                    assert (line["prediction"], line["version"]) == (own[number]["prediction"], own[number]["version"])
                    if rows[number]["x"] is not None:
                        assert own[number]["value"] == rows[number]["x"]
        nursery.cancel_scope.cancel()
    assert len(said) == 50


async def test_several_records_and_those_that_cannot_be_used() -> None:
    async def ask(client: Client) -> None:
        good, bad = {"k": "key 1", "x": 0.5, "c": "b"}, {"k": "key 1", "x": "much"}
        status, lines = await client.predict([good, bad, {"k": "new", "x": 1}, {}, good])
        assert status == 200
        assert [line["prediction"] is None for line in lines] == [False, True, False, True, False]
        assert "x" in lines[1]["reason"]
        assert lines[4]["prediction"] != lines[0]["prediction"]  # they follow one another
        assert (await client.predict([]))[1] == []
        assert (await client.predict(bad))[0] == 422
        assert (await client.predict([{**good, "k": f"n{number}"} for number in range(300)]))[0] == 422
        assert (await client.predict([good] * 1001))[0] == 413
        assert (await client.predict([1, 2]))[0] == 422
        assert (await client.raw("POST", "/predict", b'{"k":NaN}'))[0] == 400
        assert (await client.raw("POST", "/predict", b"[" * 100_000))[0] == 400
        assert (await client.raw("POST", "/predict", b"\xff\xfe"))[0] == 400
        assert (await client.raw("POST", "/predict", b" " * 2_000_000))[0] == 413
        assert (await client.raw("GET", "/predict"))[0] == 405
        assert (await client.raw("GET", "/nothing"))[0] == 404
        assert (await client.raw("GET", "/predictions"))[0] == 422
        assert (await client.raw("GET", "/predictions?key=nobody"))[0] == 404
        with trio.move_on_after(1):  # the rest of the records need not be waited for
            await trio.sleep_forever()

    await Run(make_data(300, 3), pause=0.005).go(ask)


async def test_the_state_in_all_its_forms() -> None:
    run = Run(make_data(500, 4), pause=0.002, interval=0.8, season=5)

    async def ask(client: Client) -> None:
        await trio.sleep(0.5)
        said = await client.get("/status")
        assert said["state"] == "training"
        assert said["step"] >= 1
        assert {stage["name"] for stage in said["stages"]} >= {"load", "forecast", "update"}
        records = said["records"]
        assert records["metrics"]["all"]["naive_mae"] > 0
        assert set(said["keys"]) <= {f"key {number}" for number in range(4)}
        names = {
            sample.name: sample.value
            for family in text_string_to_metric_families((await client.raw("GET", "/metrics"))[1].decode())
            for sample in family.samples
        }
        assert names["recurrio_steps_total"] >= said["step"]
        assert names["recurrio_keys"] == 4
        assert (await client.get("/healthz"))["status"] == "ok"
        curves = await client.get("/history")
        assert curves["step"][-1] >= said["step"]
        assert len({len(column) for column in curves.values()}) == 1
        assert (await client.get("/readyz"))["ready"]
        assert (await client.get("/openapi.json"))["openapi"].startswith("3.1")
        assert b"<title>" in (await client.raw("GET", "/"))[1]

    await run.go(ask)


async def test_events_come_until_the_run_ends() -> None:
    run, steps = Run(make_data(600, 4), pause=0.003), list[int]()

    async def ask(client: Client) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", client.port) as stream:
            await stream.send_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            with trio.fail_after(10):
                while len(steps) < 3:
                    data += await stream.receive_some(100_000)
                    *whole, _ = data.split(b"\n\n")
                    steps[:] = [json.loads(part.partition(b"data: ")[2])["step"] for part in whole if b"data: " in part]
        assert steps == sorted(steps)
        assert steps[0] < steps[-1]

    await run.go(ask)


async def test_before_anything_was_learned_it_says_so() -> None:
    run = Run([])

    async def silent() -> AsyncIterator[dict[str, Any]]:
        await trio.sleep(2)
        return
        yield {}

    run.records = Records(silent(), **GIVEN)
    async with trio.open_nursery() as nursery:
        client = Client(await nursery.start(partial(serve, run.trainer, run.records)))
        nursery.start_soon(run.trainer.run, run.records)
        await trio.sleep(0.05)
        assert (await client.raw("GET", "/readyz"))[0] == 503
        assert (await client.predict({"k": "a", "x": 1}))[0] == 503
        assert (await client.get("/status"))["state"] == "waiting"
        assert (await client.raw("GET", "/metrics"))[0] == 200
        nursery.cancel_scope.cancel()


async def test_when_it_has_ended_it_says_so() -> None:
    run = Run([])
    run.records = Records([{"k": "a", "x": number % 5} for number in range(50)], **GIVEN)
    async with trio.open_nursery() as nursery:
        client = Client(await nursery.start(partial(serve, run.trainer, run.records)))
        await run.trainer.run(run.records)
        assert (await client.get("/status"))["state"] == "ended"
        nursery.cancel_scope.cancel()


async def test_what_happened_before_a_resume_is_known() -> None:
    before, run = Run([]), Run([])
    before.trainer.history.add(30.0, 1, 1, 0.5, 0.1)
    before.trainer.history.note("a drift")
    before.trainer.history.add(40.0, 2, 1, 0.5, 0.1)
    run.trainer.history.load(before.trainer.history.dump())
    status = Status(run.trainer)
    status.note("another")
    assert status.now()["events"] == [{"seconds": -10.0, "text": "a drift"}, {"seconds": 0.0, "text": "another"}]
    assert [text for _, _, text in run.trainer.history.events] == ["a drift", "another"]


async def test_a_run_over_a_text(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("to be or not to be\n" * 3000)
    async with open_source(tmp_path / "text", batch_size=4, seq_len=8) as source, trio.open_nursery() as nursery:
        trainer = Trainer(SequenceModel(len(source.vocabulary), embedding_size=4, hidden_size=4), Adam(0.01))
        client = Client(await nursery.start(partial(serve, trainer)))
        nursery.start_soon(trainer.run, source)
        await trio.sleep(0.3)
        assert (await client.get("/status"))["records"] is None
        assert (await client.predict({"x": 1}))[0] == 409
        assert (await client.raw("GET", "/predictions"))[0] == 409
        assert (await client.raw("GET", "/metrics"))[0] == 200
        nursery.cancel_scope.cancel()


async def test_a_run_that_is_too_busy_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "WAIT", 0.1)
    monkeypatch.setattr(Records, "ask", lambda self, question: None)

    async def ask(client: Client) -> None:
        assert (await client.predict({"k": "a", "x": 1}))[0] == 503

    await Run(make_data(100, 3), pause=0.005).go(ask)


async def test_an_answer_that_cannot_be_made_is_an_error_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise np.exceptions.AxisError("broken")

    monkeypatch.setattr(Records, "suppose", broken)
    run = Run(make_data(100, 3), pause=0.005)

    async def ask(client: Client) -> None:
        assert (await client.predict({"k": "a", "x": 1}))[0] == 500
        assert run.problems == ["POST /predict: AxisError: broken"]
        run.problems.clear()

    await run.go(ask)
