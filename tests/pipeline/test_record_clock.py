"""What the clock decides of records: when chunks are closed short, and keys go. It is logged, and can be done again."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from support.streams import as_jsonl, bits, cut, make_data, open_bytes

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.lanes.clock import Lag
from recurrio.pipeline.lanes.decisions import CUT, EXPIRE, Decision

DATA = make_data(300, 12)
PIECES = cut(as_jsonl(DATA), range(0, 20_000, 600))


async def train(records: Records) -> tuple[Trainer, dict[str, Any]]:
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    with trio.fail_after(1e6):
        await trainer.run(records)
    return trainer, records.report()


@pytest.mark.parametrize(
    ("options", "kinds"),
    [({"linger": 2.5}, {CUT}), ({"key_ttl": 9.0}, {EXPIRE}), ({"linger": 2.5, "key_ttl": 9.0}, {CUT, EXPIRE})],
    ids=lambda value: ", ".join(sorted(value)),
)
async def test_what_it_decided_gives_the_same_bits_again(
    options: dict[str, float], kinds: set[str], autojump_clock: trio.testing.MockClock
) -> None:
    first = open_bytes(PIECES, pause=1.0, **options)
    trainer, report = await train(first)
    log = first.log.kept
    assert {decision.kind for decision in log} == kinds
    assert first.log.count == len(log)
    assert report["waiting"] == 0
    assert (report["expired"] > 0) == (EXPIRE in kinds)
    again = open_bytes(cut(as_jsonl(DATA), [100, 5000]), decisions=log)
    repeated, other = await train(again)
    assert bits(repeated.state) == bits(trainer.state)
    assert other == report
    assert again.log.kept == log


async def test_nobody_waits_longer_than_the_linger(autojump_clock: trio.testing.MockClock) -> None:
    """A record with a label is trained on half a second later, though no chunk fills and nothing more comes."""
    records = open_bytes([as_jsonl(DATA[:30]), as_jsonl(DATA[30:60])], pause=1000.0, linger=0.5)
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    times: list[float] = []
    await trainer.run(records, on_report=lambda report: times.append(trio.current_time()))
    assert [time for time in times if 1000.6 < time < 1999.9] == []
    assert any(1000.4 < time < 1000.6 for time in times)


async def test_without_a_linger_the_clock_decides_nothing(autojump_clock: trio.testing.MockClock) -> None:
    slow, fast = open_bytes(PIECES, pause=1000.0), open_bytes(PIECES)
    assert bits((await train(slow))[0].state) == bits((await train(fast))[0].state)
    assert not slow.log.kept


async def test_with_what_has_waited_for_the_linger_goes_what_has_for_half_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lines = [[{"k": name, "x": float(step)} for name in names] for step, names in enumerate(["abc", "a", "b", "c"])]
    pieces = [as_jsonl(records) for records in lines]  # a pair of each is there a second later, 2 and 3
    records = open_bytes(pieces, pause=1.0, features="x", linger=2.1)
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    applied: list[int] = []
    await trainer.run(records, on_report=lambda report: applied.append(records.report()["applied"]))
    assert applied[:2] == [2, 3]
    assert [decision[1:] for decision in records.log.kept] == [(CUT, 5)]


def test_a_lag_does_not_slide_where_records_never_pause() -> None:
    """Each is nearer to the one before than a sixteenth: what they share begins anew all the same."""
    lag, due = Lag(16.0), list[float]()
    for step in range(1000):
        now = step / 10
        if now >= lag.deadline():
            due.append(now)
            assert now - 17.1 <= (lag.before(now) - 1) / 10 <= now - 16.0 + 1e-9
        lag.note(now, step + 1)
    assert 83 <= len(due) <= 85
    assert 16.0 < due[0] < 17.0 + 1e-9


async def test_keys_go_and_nobody_waits_where_records_never_pause(autojump_clock: trio.testing.MockClock) -> None:
    data = [{"k": f"key {number // 100}", "x": float(number % 7)} for number in range(2000)]
    given = {"features": "x", "linger": 2.0, "key_ttl": 30.0, "stride": 4}
    records = open_bytes([as_jsonl([record]) for record in data], pause=0.1, **given)
    trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
    await trainer.run(records)
    assert records.report()["expired"] >= 16
    assert 1.9 < records.latency()["p99"] <= 2.0 * 17 / 16 + 1e-6


def test_a_lag_knows_what_came_that_long_ago() -> None:
    lag = Lag(16.0)
    assert lag.deadline() == float("inf")
    lag.note(100.0, 5)
    lag.note(105.0, 9)
    lag.note(105.5, 12)  # nearer than a sixteenth to the one before
    lag.note(106.0, 12)  # nothing has come
    assert lag.deadline() == 116.0
    assert lag.before(115.9) == 0
    assert lag.before(116.0) == 5
    assert lag.before(121.4) == 5
    assert lag.before(121.5) == 12
    assert lag.deadline() == float("inf")


def test_an_async_iterable_cannot_be_waited_for_with_a_linger() -> None:
    async def readings() -> Any:  # noqa: ANN401 (a generator)
        yield {"x": 1}

    for option in ("linger", "key_ttl"):
        with pytest.raises(ArgumentError, match="async iterable"):
            Records(readings(), features="x", target="x@+1", **{option: 1.0})


def test_a_decision_is_about_the_past() -> None:
    records = open_bytes([], decisions=[Decision(10, CUT, 5)])
    assert records.log.replays
