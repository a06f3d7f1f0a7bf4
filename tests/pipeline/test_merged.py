"""Several sources at once: each in its own order, all counted, and the same bits again from the log."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
import trio
from support.live import SCHEMA, line
from support.streams import Bytes, as_jsonl, bits, cut, make_data, note_forecasts

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import SourceError, Trainer, open_records
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.flow.group import open_group
from recurrio.pipeline.lanes import merged
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.lanes.decisions import DROP, DROP_REJECTS, OF_SOURCES, TURN, Decision
from recurrio.pipeline.lanes.merged import MergedBlocks
from recurrio.pipeline.lanes.records import Records

DATA = make_data(3000, 20, broken=20)
GIVEN = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6, "max_keys": 64}


def sources(pauses: Iterable[float]) -> list[DecodedBlocks]:
    """The records of DATA, every third in each, cut anywhere; with `pauses` between the pieces."""
    found = []
    for index, pause in enumerate(pauses):
        data = as_jsonl(DATA[index::3])
        transport = Bytes(cut(data, range(0, len(data), 997 + 500 * index)), pause)
        found.append(DecodedBlocks(transport, "jsonl", Fields.of(Records((), **GIVEN).plan.schema)))
    return found


async def train(
    pauses: Iterable[float], decisions: list[Decision] | None = None, policy: str = "block"
) -> tuple[Any, ...]:
    said: list[tuple[Any, ...]] = []
    turns = None if decisions is None else [decision for decision in decisions if decision.kind in OF_SOURCES]
    async with open_group() as group:
        records = Records(
            (),
            **GIVEN,
            decisions=decisions,
            on_forecasts=note_forecasts(said),
            _source=lambda schema: MergedBlocks(sources(pauses), [policy] * 3, group, turns),
        )
        trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")
        await trainer.run(records)
    return bits(trainer.state), said, records.report(), records.log.kept


async def test_what_comes_at_its_own_time_comes_again_in_the_same_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    state, said, report, log = await train([1.0, 0.3, 2.5])
    assert report["records"] == len(DATA) == report["applied"] + report["unlabelled"] + report["rejected"]
    assert [source["received"] for source in report["sources"]] == [1000] * 3
    assert sum(source["rejected"] for source in report["sources"]) == report["rejected"] == 20
    assert {decision.before for decision in log} == {0, 1, 2}
    assert (await train([2.0, 2.0, 0.1]))[0] != state  # the clock decides
    again = await train([0.1, 3.0, 0.7], log)
    assert again[:2] == (state, said)
    assert again[3] == log


@pytest.mark.parametrize("policy", ["drop-oldest", "sample"])
async def test_what_was_dropped_is_dropped_again(
    policy: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(merged, "MOST", 40)
    state, said, report, log = await train([0, 0, 0], policy=policy)
    assert report["records"] == len(DATA)
    assert len({decision.number for decision in log if decision.kind == DROP}) > 5
    assert any(decision.kind == DROP_REJECTS for decision in log)
    assert report["dropped"] == sum(each.before for each in log if each.kind in {DROP, DROP_REJECTS}) > 300
    again = await train([0.1, 3.0, 0.7], log, policy)
    assert again[:2] == (state, said)
    assert again[3] == log
    assert again[2]["dropped"] == report["dropped"]
    assert [source["rejected"] for source in again[2]["sources"]] == [
        source["rejected"] for source in report["sources"]
    ]


class Fast:
    """A source of blocks that does not wait."""

    name, came_from, anybody, seen = "fast", 0, False, ["x"]
    replays = False

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self.counts: list[dict[str, Any]] = [{"source": "fast"}]

    async def receive(self) -> Block:
        await trio.lowlevel.checkpoint()
        if not self._blocks:
            raise trio.EndOfChannel
        return self._blocks.pop(0)


async def blocks_of(count: int, size: int) -> list[Block]:
    data = [b"".join(line("a", n) for n in range(start, start + size)) + b"junk\n" for start in range(0, count, size)]
    decoded = DecodedBlocks(Bytes(data), "jsonl", Fields.of(SCHEMA))
    return [await decoded.receive() for _ in data]


@pytest.mark.parametrize("policy", ["drop-oldest", "sample"])
async def test_where_the_learner_is_behind_some_are_dropped_and_counted(
    policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "MOST", 1000)
    blocks = await blocks_of(10_000, 100)
    async with open_group() as group:
        source = MergedBlocks([Fast(blocks)], [policy], group)
        await trio.testing.wait_all_tasks_blocked()  # all have come, and nobody has taken any
        assert source.counts[0]["waiting"] <= 1000
        got: list[int] = []
        rejects = 0
        with suppress(trio.EndOfChannel):
            while True:
                block = await source.receive()
                got += block.numbers[:, 0].astype(int).tolist()
                rejects += len(block.rejects)
    assert len(got) + rejects + source.counts[0]["dropped"] == 10_000 + 100
    assert got == sorted(got)
    assert got[-1] >= 9998
    assert source.counts[0]["waiting"] == 0
    if policy == "drop-oldest":
        assert got == [*range(10_000 - len(got), 10_000)]
    else:
        assert got[0] < 5000
        assert len(got) > 300


async def test_junk_without_a_number_does_not_hold_up_a_replay() -> None:
    """After its last turn a source still has lines that cannot be used."""
    decoded = DecodedBlocks(Bytes([b"junk\n"] * 5), "jsonl", Fields.of(SCHEMA))
    junk = [await decoded.receive() for _ in range(5)]
    async with open_group() as group:
        sources = [Fast([*await blocks_of(100, 100), *junk]), Fast(await blocks_of(100, 100))]
        source = MergedBlocks(sources, ["block"] * 2, group, [Decision(100, TURN, 1)])
        got, rejects = 0, 0
        with trio.fail_after(5), suppress(trio.EndOfChannel):
            while True:
                block = await source.receive()
                got, rejects = got + block.size, rejects + len(block.rejects)
    assert (got, rejects) == (200, 7)


async def test_one_that_can_wait_does() -> None:
    blocks = await blocks_of(1000, 100)
    async with open_group() as group:
        source = MergedBlocks([Fast(blocks), Fast([])], ["block"] * 2, group)
        await trio.testing.wait_all_tasks_blocked()
        assert len(blocks) >= 8
        got = 0
        with suppress(trio.EndOfChannel):
            while True:
                got += (await source.receive()).size
    assert got == 1000


async def test_an_error_comes_behind_what_came_before_it() -> None:
    class Broken(Fast):
        async def receive(self) -> Block:
            if not self._blocks:
                raise SourceError("gone")
            return await super().receive()

    async with open_group() as group:
        source = MergedBlocks([Broken(await blocks_of(200, 100))], ["block"], group)
        assert (await source.receive()).size == 100
        assert (await source.receive()).size == 100
        with pytest.raises(SourceError, match="gone"):
            await source.receive()


async def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ArgumentError, match="drop-oldest"):
        async with open_records("-", when_behind="later", features="x", target="x@+1"):
            pass
    with pytest.raises(ArgumentError, match="addresses"):
        async with open_records(features="x", target="x@+1"):
            pass
