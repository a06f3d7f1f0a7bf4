"""The lanes of records in arrays, against a plain loop: the same batches, forecasts and counts, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain_records import PlainLanes, check_same

from recurrio.core import SequenceBatch
from recurrio.core.online.encoder import Encoder
from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.lanes import stride
from recurrio.pipeline.lanes.decisions import CUT, EXPIRE, Decision, DecisionLog
from recurrio.pipeline.lanes.key_table import KeyTable, shard_of
from recurrio.pipeline.lanes.live import Arrivals
from recurrio.pipeline.lanes.packer import Packed, Packer
from recurrio.pipeline.lanes.record_lanes import RecordLanes

SCHEMAS = {
    "one ahead": Schema.of("x,y", "x@+1", key="k"),
    "several": Schema.of("x,y", "x@+1,y@+3,z", key="k"),
    "far ahead": Schema.of("x", "x@+11", key="k"),
    "same record": Schema.of("x,y", "z", key="k"),
    "class": Schema.of("x", label="c", key="k"),
    "time": Schema.of("x", "x@+2", key="k", time="t"),
}
Records = list[dict[str, Any]]


def make_records(schema: Schema, count: int, keys: int, seed: int, skew: float) -> Records:
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, keys + 1) ** skew
    who = rng.choice(keys, count, p=chances / chances.sum())
    numbers = rng.standard_normal((count, len(schema.numbers))) * 3 + 20
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    times = 1.7e9 + np.cumsum(rng.exponential(5, count)) - rng.choice([0, 0, 0, 30], count)
    labels = rng.choice(["on", "off", "broken", None], count)
    names = [f"key {index}" for index in who]
    return [dict(zip("knty", row, strict=True)) for row in zip(names, numbers.tolist(), times, labels, strict=True)]


def make_block(schema: Schema, records: Records) -> Block:
    numbers = np.array([record["n"] for record in records], float).reshape(len(records), len(schema.numbers))
    return Block(
        len(records),
        numbers,
        [],
        [record["y"] for record in records] if schema.label is not None else None,
        [record["k"] for record in records],
        np.array([record["t"] for record in records]) if schema.time is not None else None,
        [],
    )


def make_lanes(
    schema: Schema,
    *,
    shards: int,
    keys: int,
    batch_size: int,
    seq_len: int,
    replay: int = 0,
    stride: int | None = None,
    **options: Any,  # noqa: ANN401
) -> RecordLanes:
    encoder = Encoder(schema)
    sizes = {"seq_len": seq_len, "batch_size": batch_size, "keys": keys, "shards": shards, "stride": stride}
    sizes["replay"] = replay
    packer = Packer(encoder, dtype=np.dtype("float32"), **sizes)
    return RecordLanes(encoder, KeyTable(keys, shards), packer, **{"patience": 1 << 17, **options})


def plain(schema: Schema, records: Records, **sizes: Any) -> PlainLanes:  # noqa: ANN401
    lanes = PlainLanes(schema, **sizes)
    for record in records:
        time = record["t"] if schema.time is not None else None
        lanes.feed(record["k"], record["n"], time, record["y"] if schema.label is not None else None)
    lanes.finish()
    return lanes


def divide(records: Records, cuts: list[int]) -> Iterator[Records]:
    edges = [0, *sorted({cut % (len(records) + 1) for cut in cuts}), len(records)]
    for start, stop in pairwise(edges):
        yield records[start:stop]


def events(items: Iterator[Arrivals | Packed]) -> Iterator[tuple[Any, ...]]:
    """As the plain loop has them."""
    for item in items:
        if isinstance(item, Arrivals):
            arrived, start, stop, _ = item
            for at in range(start, stop):
                parts = (
                    *(arrived.centre, arrived.scale, arrived.naive[:, :, 0]),
                    *(arrived.truths.values, arrived.compact),
                )
                yield ("arrive", arrived.number + at, *[part[at] for part in parts])
        else:
            yield ("batch", item.number, item.batch, item.labelled, item.came, 0)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("shards", [1, 3])
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    shape=st.sampled_from([(1, 1, 4), (3, 4, 2), (8, 5, 40), (4, 64, 14), (8, 2, 1)]),
    skew=st.sampled_from([0.0, 1.3]),
    stride=st.sampled_from([None, None, 1, 2, 100]),
    replay=st.sampled_from([0, 0, 1, 5]),
)
def test_arrays_do_what_a_plain_loop_does(
    name: str,
    shards: int,
    seed: int,
    cuts: list[int],
    shape: tuple[int, int, int],
    skew: float,
    stride: int | None,
    replay: int,
) -> None:
    schema, (seq_len, batch_size, keys) = SCHEMAS[name], shape
    records = make_records(schema, 300, keys, seed, skew)
    sizes = {"seq_len": seq_len, "batch_size": batch_size, "shards": shards, "keys": 3 * max(keys, 40), "patience": 64}
    sizes["max_gap"] = 40.0 if schema.time is not None else None
    sizes |= {"stride": stride, "replay": replay}
    lanes, found = make_lanes(schema, **sizes), list[tuple[Any, ...]]()
    times = list[float]()
    for number, part in enumerate(divide(records, cuts)):
        came = 0.0 if number == 0 else 100.0 + number  # it begins with one of which that is not known
        times += [came] * len(part)
        found += events(lanes.add(make_block(schema, part)._replace(came=came or np.nan)))
    found += events(lanes.finish())
    check_same(found, plain(schema, records, **sizes).events, np.array(times))


@pytest.mark.parametrize("shards", [1, 2])
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 600), max_size=8))
def test_keys_leave_where_there_is_no_room_for_them(shards: int, seed: int, cuts: list[int]) -> None:
    schema = SCHEMAS["one ahead"]
    records = make_records(schema, 600, 60, seed, 0.7)
    sizes = {"seq_len": 3, "batch_size": 4, "shards": shards, "keys": 24, "patience": 1 << 17}
    left = list[int]()
    lanes, found = make_lanes(schema, **sizes, on_leave=lambda rows, count: left.append(count)), list[tuple[Any, ...]]()
    for part in divide(records, cuts):
        found += events(lanes.add(make_block(schema, part)))
    found += events(lanes.finish())
    expected = plain(schema, records, **sizes)
    check_same(found, expected.events)
    assert lanes.evicted == expected.evicted > 0
    assert sum(left) + lanes.packer.open_records == expected.unlabelled


@pytest.mark.parametrize("seq_len", [5, 16])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 500), max_size=8), keys=st.sampled_from([1, 3, 11]))
def test_the_stride_grows_with_the_keys_and_the_records(seq_len: int, seed: int, cuts: list[int], keys: int) -> None:
    schema = SCHEMAS["several"]
    records = make_records(schema, 500, keys, seed, 0.7)
    sizes = {"seq_len": seq_len, "batch_size": 16, "shards": 1, "keys": 12, "patience": 256}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stride, "LONG", 70)
        patch.setattr(PlainLanes, "long", 70)
        lanes, found = make_lanes(schema, **sizes), list[tuple[Any, ...]]()
        for part in divide(records, cuts):
            found += events(lanes.add(make_block(schema, part)))
        found += events(lanes.finish())
        expected = plain(schema, records, **sizes)
    check_same(found, expected.events)
    assert expected.stride == min(seq_len, max(1, seq_len * len(expected.keys) // 16, 499 // 70))


def test_the_plain_loop_would_notice_a_key_twice_in_a_batch() -> None:
    schema = SCHEMAS["one ahead"]
    records = make_records(schema, 300, 20, 0, 1.3)
    sizes = {"seq_len": 2, "batch_size": 8, "shards": 1, "keys": 40, "patience": 1 << 17}
    lanes, found = make_lanes(schema, **sizes), list[tuple[Any, ...]]()
    for part in divide(records, [*range(10, 300, 10)]):
        lanes.packer._last.fill(-1)
        found += events(lanes.add(make_block(schema, part)))
    with pytest.raises(AssertionError):
        check_same(found, plain(schema, records, **sizes).events)


def test_every_record_is_in_one_chunk_or_has_no_label() -> None:
    schema, T = SCHEMAS["several"], 4
    records = make_records(schema, 500, 30, 1, 1.0)
    lanes = make_lanes(schema, seq_len=T, batch_size=8, shards=1, keys=64)
    packed = [item for item in lanes.add(make_block(schema, records)) if isinstance(item, Packed)]
    assert lanes.packer.open_records + sum(item.labelled + item.unlabelled for item in packed) == 500
    packed += lanes.finish()
    assert lanes.packer.open_records + sum(item.labelled + item.unlabelled for item in packed) == 500
    names = [record["k"] for record in records]
    assert lanes.packer.open_records == sum(min(3, names.count(name)) for name in set(names))
    for item in packed:
        rows = item.batch.rows
        assert rows is not None
        assert len(set((rows ^ (rows >> 63)).tolist())) == len(rows)


def test_what_the_clock_decided_can_be_decided_again() -> None:
    schema = SCHEMAS["one ahead"]
    records = make_records(schema, 300, 20, 3, 0.5)
    sizes = {"seq_len": 4, "batch_size": 8, "shards": 1, "keys": 40}
    lanes, found = make_lanes(schema, **sizes), list[tuple[Any, ...]]()
    for at, part in enumerate(divide(records, [50, 120, 121, 200])):
        found += events(lanes.add(make_block(schema, part)))
        found += events(lanes.cut(lanes.number - 20))
        if at == 2:
            found += events(lanes.expire(lanes.number - 90))
    found += events(lanes.finish())
    log = lanes.log.kept
    assert {decision.kind for decision in log} == {CUT, EXPIRE}
    again, other = make_lanes(schema, **sizes, log=DecisionLog(log)), list[tuple[Any, ...]]()
    for part in divide(records, [7, 99, 130]):
        other += events(again.add(make_block(schema, part)))
    other += events(again.finish())
    check_same(other, found)
    assert again.log.kept == log
    assert lanes.expired == again.expired > 0


def test_a_decision_is_one_that_there_is() -> None:
    with pytest.raises(ValueError, match="cut, expire"):
        DecisionLog([Decision(3, "stop", 2)])


def test_a_shard_is_the_same_in_every_process() -> None:
    assert [shard_of(key, 3) for key in ("", "a", "b", "ключ", "key 7")] == [0, 0, 2, 0, 1]


def test_few_keys_need_not_fill_a_batch() -> None:
    """One key alone: a batch as soon as its chunk is closed."""
    schema = Schema.of("x", "x@+1")
    lanes = make_lanes(schema, seq_len=4, batch_size=64, shards=1, keys=1, stride=4)
    block = Block(10, np.arange(10.0)[:, None], [], None, None, None, [])
    batches = [item for item in lanes.add(block) if isinstance(item, Packed)]
    assert [item.number for item in batches] == [4, 8]
    assert all(isinstance(item.batch, SequenceBatch) for item in batches)
