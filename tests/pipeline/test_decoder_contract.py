"""What every decoder of records keeps to: cuts do not matter, a state can be saved anywhere, nothing makes it crash."""

from __future__ import annotations

import gzip
import math
import os
import random
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import Outcome, cut, outcome, reloaded, run

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.formats import FORMATS, RecordDecoder, format_of, open_decoder
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.sources import Chunk

SCHEMA = Schema.of("x,y,c:category", label="l", key="k", time="t")
NESTED = Schema.of("v.x,v.y,c:category", "v.x@+1", key="k")
FUZZED = int(os.environ.get("RECURRIO_FUZZED", "1500"))  # inputs of each format; .ci/run asks for more


class Case(NamedTuple):
    """A format with what it decodes: data with all that is in it."""

    form: str
    schema: Schema
    options: RecordOptions
    data: bytes


JSON = b"""\xef\xbb\xbf{"k":"a","x":1.5,"y":-2,"c":"red","l":1,"t":1700000000}\r
{"k":7,"x":"1e3","y":null,"c":true,"l":"1","t":"2024-01-01T00:00:00.5Z"}

{"k":"a","x":NaN,"y":1,"t":3}
{"k":"\xc3\xa4","x":-9999,"y":0.1,"c":"?","l":1.0,"t":"2024-01-01 05:30:00,5+0530"}
   \t
[1]
{"k":-0,"x":-0,"y":-0.0,"c":0,"l":0,"t":5}
{"type":"heartbeat"}
{"k":null,"x":1}
{"k":"a","x":true,"t":1}{"k":1}
\0\0\0{"k":"b","x":4,"t":4}
{"k":"b","x":"\xff","t":4}
{"k":"b","c":"\\ud800","t":4}
{"k":"b","x":5,"t":6}"""
CSV = b"""\xef\xbb\xbfk,x,note,y,c,l,t\r
a,1.5,"one, ""two""
three",-2,red,1,1700000000\r
7,1e3,,,true,1,2024-01-01T00:00:00.5Z

a,nan,,1,,,3
k,x,note,y,c,l,t
\xc3\xa4,-9999,\xb0C,0.1,?,1.0,2024-01-01 05:30:00+0530
b,1,"never closed,2,red,1,5
b,2,,2,red,1,6
b,3,,2
\0\0b,4,a"b,2,\xff,1,7
b,5,"c"d,2,red,1,8
b,6,,-0,0,0,9"""
RAW = np.zeros(40, [("k", "S3"), ("x", "<f4"), ("y", "<i2"), ("c", "u1"), ("l", "<i8"), ("t", "<f8")])
RAW["k"], RAW["x"], RAW["y"] = np.resize([b"a", b"b", b"", b"\xc3\xa4", b"\xff"], 40), np.arange(40), -np.arange(40)
RAW["x"][[3, 5]], RAW["t"], RAW["l"] = [math.nan, math.inf], np.arange(40) * 1e8, np.arange(40) % 3
OPTIONS = RecordOptions(missing=("-9999", "?"))
PLAIN = [
    Case("jsonl", SCHEMA, OPTIONS, JSON),
    Case("csv", SCHEMA, OPTIONS, CSV),
    Case("tsv", SCHEMA, OPTIONS, CSV.replace(b",", b"\t")),
    Case("raw", SCHEMA, RecordOptions(dtype="k:S3,x:f4,y:i2,c:u1,l:i8,t:f8"), RAW.tobytes() + b"\1\2\3"),
]
ONE = Case("csv", Schema.of("x", "x@+1"), RecordOptions(columns=("x",)), b'1\n\n"2"\r\n x\n"3\n4\n')
SEMICOLON = Case(
    "csv",
    Schema.of("x", "x@+1", key="k"),
    RecordOptions(delimiter=";", decimal=",", skip_lines=2),
    b'station "7\n\nk;x\na;1,5\na;1.5\nb;"-2,5e1"\n',
)
DEEP = b'{"k":1,"v":{"x":1,"y":2},"c":3}\n{"k":1,"v":{"x":"a"},"v.x":2}\n{"k":1,"v":[1]}\n{"v.x":null,"k":{"x":1}}'
CASES = {case.form: case for case in PLAIN}
CASES |= {f"{case.form}.gz": case._replace(data=gzip.compress(case.data, mtime=0)) for case in PLAIN}
CASES |= {"one column": ONE, "semicolons": SEMICOLON, "nested": Case("jsonl", NESTED, OPTIONS, DEEP)}
TWO = gzip.compress(JSON[:99], mtime=0) + gzip.compress(JSON[99:], mtime=0) + bytes(9)
CASES |= {"two members": PLAIN[0]._replace(data=TWO), "cut short": PLAIN[0]._replace(data=TWO[:-30])}
CASES |= {"not gzip behind": PLAIN[0]._replace(data=TWO + b"rest")}
DAMAGED = bytearray(gzip.compress(CSV * 20, mtime=0))
DAMAGED[-6] ^= 1
CASES["damaged"] = PLAIN[1]._replace(data=bytes(DAMAGED))
each_case = pytest.mark.parametrize("name", CASES)


def make(case: Case) -> RecordDecoder:
    return open_decoder(case.form, Fields.of(case.schema), case.options)


def whole(case: Case, parts: list[bytes]) -> Outcome:
    block, error = run(make(case), parts)
    return outcome(empty(case) if block is None else block, error)


def empty(case: Case) -> Block:
    block, _ = run(make(case), [])
    assert block is not None
    return block


@each_case
@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_blocks_of_any_size_give_the_same(name: str, size: int) -> None:
    case = CASES[name]
    expected = whole(case, [case.data])
    assert expected.size or "short" in name
    assert whole(case, [case.data[at : at + size] for at in range(0, len(case.data), size)]) == expected


@each_case
@given(places=st.lists(st.integers(0, 2000), max_size=6))
@settings(max_examples=40, deadline=None)
def test_cuts_do_not_matter(name: str, places: list[int]) -> None:
    case = CASES[name]
    assert whole(case, cut(case.data, places)) == whole(case, [case.data])


@given(
    lines=st.lists(st.sampled_from(['a,1,"b\n', 'a,2,b"\n', 'a,3,"b"\n', '"a",4,\n', 'a,"5",""\n', '""",6,x\n', "\n"])),
    places=st.lists(st.integers(0, 300), max_size=6),
)
@settings(deadline=None)
def test_nor_do_they_among_quotes(lines: list[str], places: list[int]) -> None:
    case = Case("csv", Schema.of("x", "x@+1", key="k"), RecordOptions(), ("k,x,n\n" + "".join(lines)).encode())
    assert whole(case, cut(case.data, places)) == whole(case, [case.data])


@each_case
def test_it_goes_on_from_what_it_has_dumped(name: str) -> None:
    case = CASES[name]
    expected = whole(case, [case.data])
    for place in range(0, len(case.data), 1 if len(case.data) < 400 else 11):
        first = make(case)
        before = run_some(first, case.data[:place], case)
        second = reloaded(first, make(case))
        assert second.begins_again == first.begins_again
        behind, error = run(second, [case.data[0 if second.begins_again else place :]])
        rest = outcome(empty(case) if behind is None else behind, error)
        assert joined(before, rest) == expected, place


def run_some(decoder: RecordDecoder, data: bytes, case: Case) -> Outcome:
    return outcome(decoder.feed(Chunk(data, "book", {}))) if data else outcome(empty(case))


def joined(first: Outcome, second: Outcome) -> Outcome:
    """Both, one behind the other."""
    return Outcome(
        first.size + second.size,
        first.numbers + second.numbers,
        (first.shape[0] + second.shape[0], *first.shape[1:]),
        [[*some, *others] for some, others in zip(first.categories, second.categories, strict=True)],
        None if first.labels is None else [*first.labels, *(second.labels or [])],
        None if first.keys is None else [*first.keys, *(second.keys or [])],
        None if first.times is None else first.times + (second.times or b""),
        [*first.rejects, *((index + first.size, *rest) for index, *rest in second.rejects)],
        second.error,
    )


def flip(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + bytes([rng.randrange(256)]) + data[place + 1 :]


def truncate(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def insert(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + rng.choice(PIECES) + data[place:]


def lose(rng: random.Random, data: bytes) -> bytes:
    place = rng.randrange(len(data) + 1)
    return data[:place] + data[place + rng.randrange(20) :]


PIECES = [
    b"\n",
    b"\0",
    b'"',
    b",",
    b"{",
    b"}",
    b"[",
    b"\\",
    b"\xff",
    b"\xef\xbb\xbf",
    b"9" * 400,
    b"1e999",
    b"\r",
    b" ",
]
CHANGES: list[Callable[[random.Random, bytes], bytes]] = [flip, truncate, insert, lose]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.form)
def test_damaged_data_never_makes_it_crash(case: Case) -> None:
    rng = random.Random(7)
    for number in range(FUZZED):
        start = rng.randrange(len(case.data)) if rng.random() < 0.5 else 0
        data = case.data[start : start + 400]
        if number % 10 == 0:
            data = gzip.compress(data, 1)
        for _ in range(rng.randrange(1, 4)):
            data = rng.choice(CHANGES)(rng, data)
        parts = cut(data, [rng.randrange(1000) for _ in range(rng.randrange(3))])
        block, _ = run(make(case), parts)
        if block is not None:
            assert block.numbers.shape == (block.size, 2)
            assert not np.isinf(block.numbers).any()
            assert len(block.keys or []) == len(block.labels or []) == len(block.categories[0]) == block.size
            assert block.times is not None
            assert ((block.times >= 0) & (block.times < 4_102_444_800)).all()
            assert all(0 <= reject.before <= block.size and len(reject.data) <= 500 for reject in block.rejects)


def test_the_formats_know_their_files() -> None:
    assert [format_of(f"a.b{suffix}") for form in FORMATS.values() for suffix in form.suffixes] == [
        "jsonl", "jsonl", "jsonl", "csv", "tsv", "tsv", "raw", "raw",
    ]  # fmt: skip
    assert format_of("LOG.CSV.GZ") == "csv"
    assert format_of("events") == "jsonl"
    with pytest.raises(ValueError, match="format: expected one of jsonl, csv, tsv, raw, got 'xml'"):
        open_decoder("xml", Fields.of(SCHEMA))
