"""Records whose labels come later: arrays do what a loop over single items does, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_later import PlainLater
from support.plain_records import check_same

from recurrio.core.online.encoder import Encoder
from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.lanes.decisions import GIVE_UP, DecisionLog
from recurrio.pipeline.lanes.key_table import KeyTable
from recurrio.pipeline.lanes.live import Arrivals, LateTruths
from recurrio.pipeline.lanes.packer import Packed, Packer
from recurrio.pipeline.lanes.record_lanes import RecordLanes

NAN = float("nan")
SCHEMAS = {
    "class": Schema.of("a,b", label="y", key="k"),
    "number": Schema.of("a", target="y", key="k"),
    "two": Schema.of("a,b", target="y,z", key="k", time="t"),
    "timed class": Schema.of("a", label="y", key="k", time="t"),
}


class Item(NamedTuple):
    """A record, with an answer or not, or where `name` is None an answer alone."""

    id: str
    name: str | None
    numbers: list[float]
    time: float
    answer: list[Any] | None


def make_items(schema: Schema, count: int, keys: int, seed: int, delay: float, odd: float) -> list[Item]:
    """Answers come about `delay` items later, some before; of `odd` of them something is odd."""
    rng = np.random.default_rng(seed)
    found: list[tuple[float, Item]] = []
    for number in range(count):
        id, name = f"id {number if rng.random() > odd / 2 else number // 2}", f"key {rng.integers(keys)}"
        numbers = np.where(rng.random(2) < 0.1, NAN, rng.standard_normal(2) * 3 + 20)[: len(schema.features)].tolist()
        if schema.label is not None:
            answer: list[Any] = [rng.choice(["on", "off", "broken", None], p=[0.4, 0.3, 0.2, 0.1])]
        else:
            answer = np.where(rng.random(2) < 0.1, NAN, rng.standard_normal(2) + 5)[: len(schema.targets)].tolist()
        known = answer != [None] and not all(value != value for value in answer)
        own = answer if known and rng.random() < odd / 2 else None
        time = 1.7e9 + number * 5 - float(rng.choice([0, 0, 0, 30]))
        found.append((number, Item(id, name, numbers, time, own)))
        came = [number + rng.exponential(delay) - 5 * (rng.random() < odd) for _ in range(2)]
        times = int(rng.choice([0, 1, 2], p=[odd / 2, 1 - odd, odd / 2]))
        found += [(when, Item(id, None, [], 0, answer)) for when in came[:times]]
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def make_block(schema: Schema, items: list[Item]) -> Block:
    """As of a source that has records and answers."""
    inputs, width = len(schema.features), len(schema.targets)
    nothing: list[Any] = [None] if schema.label is not None else [NAN] * width
    answers = [nothing if item.answer is None else item.answer for item in items]
    numbers = np.array(
        [[*(item.numbers or [NAN] * inputs), *answer[:width]] for item, answer in zip(items, answers, strict=True)]
    )
    return Block(
        len(items),
        numbers.reshape(len(items), inputs + width),
        [],
        [answer[0] for answer in answers] if schema.label is not None else None,
        [item.name or "" for item in items],
        np.array([item.time for item in items]) if schema.time is not None else None,
        [],
        [item.id for item in items],
        np.array([item.name is None for item in items], bool),
    )


def make_lanes(
    schema: Schema, *, keys: int, shards: int, most: int, log: DecisionLog | None = None, **sizes: int
) -> RecordLanes:
    encoder, patience = Encoder(schema), sizes.pop("patience")
    packer = Packer(encoder, dtype=np.dtype("float32"), keys=keys, shards=shards, **sizes)
    return RecordLanes(encoder, KeyTable(keys, shards), packer, patience=patience, waiting=most, log=log)


def plain(schema: Schema, items: list[Item], **sizes: Any) -> PlainLater:  # noqa: ANN401
    lanes = PlainLater(schema, **sizes)
    for item in items:
        if item.name is None:
            assert item.answer is not None
            lanes.label(item.id, item.answer)
        else:
            time = item.time if schema.time is not None else None
            lanes.feed_later(item.name, item.id, item.numbers, time, item.answer)
    lanes.finish()
    return lanes


class Events:
    """What lanes give, as the plain loop has it."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self.truths: list[tuple[int, list[float]]] = []
        self.times: list[float] = []  # of items
        self.steps = 0  # that were learned from, or had no label
        self._slots: dict[int, int] = {}
        self._told: tuple[Any, int] = (None, 0)

    def note(self, items: Iterator[Arrivals | Packed]) -> None:
        for item in items:
            if isinstance(item, Packed):
                self.steps += item.labelled + item.unlabelled
                self.all.append(("batch", item.number, item.batch, item.labelled, item.came, len(self.truths)))
                continue
            arrived, start, stop, end = item
            truths = arrived.truths
            assert isinstance(truths, LateTruths)
            for at in range(start, stop):
                self._slots[int(truths.slots[at])] = arrived.number + at
                parts = arrived.centre, arrived.scale, arrived.naive[:, :, 0], arrived.compact
                self.all.append(("arrive", arrived.number + at, *[part[at] for part in parts]))
            told = self._told[1] if self._told[0] is arrived else 0
            for of, value in zip(truths.of[told:end].tolist(), truths.values[told:end].tolist(), strict=True):
                self.truths.append((self._slots[of], value))
            self._told = arrived, end


def run(lanes: RecordLanes, schema: Schema, items: list[Item], cuts: list[int]) -> Events:
    """A block that begins with the item n came at n + 100."""
    events = Events()
    for start, stop in pairwise([0, *sorted({cut % (len(items) + 1) for cut in cuts}), len(items)]):
        events.times += [start + 100.0] * (stop - start)
        events.note(lanes.add(make_block(schema, items[start:stop])._replace(came=start + 100.0)))
    events.note(lanes.finish())
    return events


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("shards", [1, 2])
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    shape=st.sampled_from([(1, 1, 4), (3, 4, 2), (8, 5, 40), (4, 64, 14), (3, 2, 30)]),
    delay=st.sampled_from([0.3, 5.0, 60.0]),
    odd=st.sampled_from([0.0, 0.4]),
    most=st.sampled_from([1, 7, 1000]),
)
def test_arrays_do_what_a_plain_loop_does(
    name: str,
    shards: int,
    seed: int,
    cuts: list[int],
    shape: tuple[int, int, int],
    delay: float,
    odd: float,
    most: int,
) -> None:
    schema, (seq_len, batch_size, keys) = SCHEMAS[name], shape
    items = make_items(schema, 200, keys, seed, delay, odd)
    sizes = {"seq_len": seq_len, "batch_size": batch_size, "shards": shards, "keys": 24, "patience": 32, "most": most}
    lanes, expected = make_lanes(schema, **sizes), plain(schema, items, **sizes)
    found = run(lanes, schema, items, cuts)
    check_same(found.all, expected.events, np.array(found.times))
    np.testing.assert_array_equal([number for number, _ in found.truths], [number for number, _ in expected.truths])
    np.testing.assert_array_equal([truth for _, truth in found.truths], [truth for _, truth in expected.truths])
    assert lanes.later is not None
    report = lanes.later.waiting.report()
    assert {part: report[part] for part in expected.counts} == expected.counts
    assert report["received"] == sum(report[part] for part in ("matched", "twice", "late", "unmatched", "early"))
    assert report["waiting"] == report["early"] == 0
    assert found.steps + lanes.packer.open_records == sum(item.name is not None for item in items) == lanes.number


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 1000), max_size=5),
    shape=st.sampled_from([(1, 1, 4), (3, 4, 2), (2, 5, 40), (4, 64, 14), (3, 2, 30), (1, 3, 1)]),
    delay=st.sampled_from([0.3, 5.0, 60.0]),
    odd=st.sampled_from([0.0, 0.4]),
    most=st.sampled_from([1, 7, 1000]),
    every=st.integers(1, 6),
)
def test_a_piece_ends_with_the_item_that_makes_a_batch(
    seed: int, cuts: list[int], shape: tuple[int, int, int], delay: float, odd: float, most: int, every: int
) -> None:
    """As where items come one by one: there each is a piece."""
    schema, (seq_len, batch_size, keys) = SCHEMAS["two"], shape
    items = make_items(schema, 200, keys, seed, delay, odd)
    sizes = {"seq_len": seq_len, "batch_size": batch_size, "shards": 1, "keys": 24, "patience": 32, "most": most}
    single = make_lanes(schema, **sizes)
    expected, ends = [], []  # how many items had come, and batches, with each piece
    for item in items:
        for piece in single.pieces(make_block(schema, [item])):
            list(piece.items)
            expected.append((single.items, single.packer.batches))
    lanes = make_lanes(schema, **sizes)
    for start, stop in pairwise([0, *sorted({cut % (len(items) + 1) for cut in cuts}), len(items)]):
        pieces = lanes.pieces(make_block(schema, items[start:stop]))
        while True:
            lanes.due, before = (lanes.packer.batches // every + 1) * every, lanes.items
            piece = next(pieces, None)
            if piece is None:
                break
            list(piece.items)
            assert piece.block is None or piece.block.size == lanes.items - before
            ends.append((lanes.items, lanes.packer.batches))
    marks = range(every, expected[-1][1] + 1, every)
    for mark in marks:
        assert next(end for end in ends if end[1] >= mark) == next(end for end in expected if end[1] >= mark)
    assert ends[-1] == expected[-1]


def test_what_the_clock_decided_can_be_decided_again() -> None:
    schema = SCHEMAS["two"]
    items = make_items(schema, 300, 12, 3, 30.0, 0.3)
    sizes = {"seq_len": 4, "batch_size": 8, "shards": 1, "keys": 40, "patience": 64, "most": 1000}
    lanes, found = make_lanes(schema, **sizes), Events()
    for start, stop in pairwise([0, 50, 120, 121, 200, len(items)]):
        found.note(lanes.add(make_block(schema, items[start:stop])))
        found.note(lanes.give_up(lanes.items - 20))
        found.note(lanes.cut(lanes.packer.number - 15))
    found.note(lanes.finish())
    log = lanes.log.kept
    assert {decision.kind for decision in log} >= {GIVE_UP}
    again = make_lanes(schema, **sizes, log=DecisionLog(log))
    other = run(again, schema, items, [7, 99, 130, 310])
    check_same(other.all, found.all)
    np.testing.assert_array_equal(
        np.concatenate([truth for _, truth in other.truths]), np.concatenate([truth for _, truth in found.truths])
    )
    assert again.log.kept == log
