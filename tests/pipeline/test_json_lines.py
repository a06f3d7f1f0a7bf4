"""JSON lines: the quick way and the careful one agree, fields by dotted names, and the reasons against lines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import SCHEMA, decode, outcome, run

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.json_lines import JsonLines
from recurrio.pipeline.decoding.options import RecordOptions

ALL = Schema.of("x,y,c:category", label="l", key="k", time="t")
VALUES = st.sampled_from(
    [
        *("1", "-1", "0", "-0", "1.0", "-0.0", "1e5", "0.1", "1e999", "1e-999", "-9999", "-9999.0", "1700000000"),
        *("9007199254740993", "18446744073709551617", "null", "true", "false", '""', '"NA"', '"?"', '"1"', '"1.0"'),
        *('"-0"', '"true"', '"red"', '"1e5"', '"\\u0041"', '"ä"', '"-9999.0"', '"1_000"', '"2024-01-01"', "[]", "{}"),
        *("[1]", '{"a":1}', '"\\ud83d\\ude00"', '"\\ud800"', '"nan"', "NaN", "Infinity", '"a\\nb"', '"a\\u0000b"'),
        *("01", "1.", ".5", "+1", '" 1"', '"9999999999999999999999"'),
    ]
)
NAMES = st.sampled_from(["x", "y", "c", "l", "k", "t", "z", "\\u0078"])
OBJECTS = st.lists(st.tuples(NAMES, VALUES), max_size=7).map(
    lambda pairs: "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
)
LINES = st.one_of(
    OBJECTS, OBJECTS.map(lambda text: text + " "), st.sampled_from(["", " ", "[1]", "{}", "{", "1", "{}{}"])
)


@given(st.lists(LINES, max_size=5), st.sampled_from([(), ("-9999", "?"), ("0",)]))
@settings(max_examples=600, deadline=None)
def test_the_quick_way_gives_what_the_careful_one_does(lines: list[str], missing: tuple[str, ...]) -> None:
    data, options = "\n".join(lines).encode(), RecordOptions(missing=missing)
    quick, careful = (run(JsonLines(Fields.of(ALL), options, careful=flag), [data])[0] for flag in (False, True))
    assert quick is not None
    assert careful is not None
    assert outcome(quick) == outcome(careful)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.booleans())
def test_every_number_that_python_writes_is_read_to_the_bit(numbers: list[float], careful: bool) -> None:
    data = "".join(f'{{"k":1,"x":{number!r}}}\n' for number in numbers).encode()
    block, _ = run(JsonLines(Fields.of(SCHEMA), careful=careful), [data])
    assert block is not None
    assert block.numbers.tobytes() == (np.array(numbers) + 0.0).tobytes()


SEVERAL = "no object, where one object a line is expected (if one goes over several lines: jq -c . writes it on one)"
REASONS = {
    '[{"k":"a","x":1}]': "an array, where one object a line is expected (jq -c '.[]' makes that of an array)",
    "[": "an array, where one object a line is expected (jq -c '.[]' makes that of an array)",
    '{"k":1,"x":2}{"k":1}': "two objects on a line, where one object a line is expected (jq -c . writes them so)",
    '{"k":1,"x":2}, {"k":1}': "two objects on a line, where one object a line is expected (jq -c . writes them so)",
    "{": "the object does not end on its line (if it goes over several: jq -c . writes one object a line)",
    '"x": 1,': SEVERAL,
    "}": SEVERAL,
    '{"k":1,"x":NaN}': "x: expected a number, got NaN, which is no JSON (null is missing)",
    '{"k":1,"x":-Infinity}': "x: expected a number, got -Infinity, which is no JSON (null is missing)",
    '{"k":1,"x":1,"z":NaN}': "z: expected a number, got NaN, which is no JSON (null is missing)",
    '{"k":1,"x":1,"z":[NaN]}': "NaN, which is no JSON (null is missing)",
    '{"k":1,"x":true}': "x: expected a number, got true (x:category takes it as a category)",
    '{"k":1,"x":1e999}': "x: expected a finite number, got 1e999",
    '{"k":1,"x":' + "9" * 5000 + "}": "x: expected a finite number, got " + "9" * 39 + "…",
    '{"k":1,"x":{"y":1}}': "x: expected a number, got an object (x.y takes what is inside)",
    '{"k":1,"x":[1]}': "x: expected a number, got an array",
    '{"k":1.5,"x":1}': "key k: expected text or a whole number, got 1.5",
    '{"k":false,"x":1}': "key k: expected text or a whole number, got false",
    '{"k":"\\ud800","x":1}': "half a character, written with \\u",
    '\ufeff{"k":1,"x":1}': "a byte-order mark, which is data but at the start of a file",
    '{"a":' + "[" * 100_000 + "]" * 100_000 + "}": "the line is nested too deeply",
    "null": "no object, where one object a line is expected, got null",
    "hello": "no object, where one object a line is expected, got hello",
    '{"k":1,"x":1} x': "text behind the object, where one object a line is expected, got x",
    '{"k":1,"x":01}': "malformed JSON: invalid number (byte 12)",
    '{"status":"ok","up":1}': "none of the declared fields; it has: status, up",
    "{}": "none of the declared fields; it has: no fields",
    "{" + ",".join(f'"f{n}":1' for n in range(12)) + "}": "none of the declared fields; it has: "
    + ", ".join(f"f{n}" for n in range(10)) + " and 2 more",
}  # fmt: skip


@pytest.mark.parametrize("line", REASONS)
def test_the_reason_against_a_line(line: str) -> None:
    block = decode(f'{{"k":1,"x":1}}\n{line}\n{{"k":1,"x":2}}\n')
    assert [(reject.before, reject.line, reject.reason) for reject in block.rejects] == [(1, 2, REASONS[line])]
    assert block.rejects[0].data == line.encode()[:500]
    assert block.numbers.tolist() == [[1.0], [2.0]]


def test_bytes_that_are_no_text() -> None:
    block = decode(b'{"k":"\xff","x":1}\n{"k":"a","x":2,"note":"\xff"}\n\xff\n')
    assert block.numbers.tolist() == [[2.0]]
    assert [reject.reason for reject in block.rejects] == ["k: expected text in UTF-8", "not UTF-8: byte 0xff at 1"]


def test_null_is_missing_and_no_reason_against_a_record() -> None:
    block = decode('{"k":1,"x":null}\n{"k":1,"x":"NA"}\n{"k":1}\n')
    assert np.isnan(block.numbers).all()
    assert (block.size, block.rejects[0].reason) == (2, "none of the declared fields; it has: k")


def test_of_a_field_that_is_there_twice_the_last_counts() -> None:
    assert decode('{"k":1,"x":"a","x":2}\n{"x":1,"k":1,"x":3}\n').numbers.tolist() == [[2.0], [3.0]]


def test_dotted_names_lead_into_objects_unless_there_is_one_of_that_name() -> None:
    schema = Schema.of("a.b,a.c.d", "a.b@+1", key="m.id")
    lines = [
        '{"m":{"id":7},"a":{"b":1,"c":{"d":2}}}',
        '{"m.id":"q","a.b":3,"a":{"b":4,"c.d":5}}',
        '{"m":{"id":7},"a.c":{"d":6},"a":{"c":{"d":8}}}',
        '{"m":{"id":7},"a":[1]}',
        '{"m":7,"a":{"b":1}}',
    ]
    block = decode("\n".join(lines), schema=schema)
    assert np.array_equal(block.numbers, [[1, 2], [3, 5], [math.nan, 6]], equal_nan=True)
    assert block.keys == ["7", "q", "7"]
    assert [reject.reason for reject in block.rejects] == [
        "none of the declared fields; it has: m, a",
        "key m.id is missing",
    ]


@pytest.mark.parametrize("names", [("a b", 'q"'), ("class", "é"), ("f0", "f1"), ("__init__", "\n"), ("a\\b", "q")])
def test_fields_may_have_any_name(names: Sequence[str]) -> None:
    schema = Schema.of(names, label="l")
    record: dict[str, Any] = {names[0]: 1, names[1]: 2, "l": "red"}
    assert decode(json.dumps(record), schema=schema).numbers.tolist() == [[1.0, 2.0]]


def test_a_field_may_be_several_things() -> None:
    schema = Schema.of("t,k:category", "t@+1", key="k", time="t")
    block = decode('{"t":5,"k":1}\n{"t":"7","k":"a"}\n', schema=schema)
    assert block.numbers.tolist() == [[5.0], [7.0]]
    assert block.times is not None
    assert block.times.tolist() == [5.0, 7.0]
    assert (block.keys, block.categories) == (["1", "a"], [["1", "a"]])


def test_it_tells_which_fields_it_has_seen() -> None:
    decoder = JsonLines(Fields.of(SCHEMA))
    run(decoder, [b'{"k":1,"x":1}\n', b'{"k":1,"temperature":1}\n', b'{"status":1}\n'])
    assert decoder.seen == ["k", "x", "temperature", "status"]
    run(JsonLines(Fields.of(SCHEMA)), ["".join(f'{{"f{n}":1}}\n' for n in range(99)).encode()])
    decoder = JsonLines(Fields.of(SCHEMA))
    run(decoder, ["".join(f'{{"f{n}":1}}\n' for n in range(99)).encode()])
    assert len(decoder.seen) == 50


def test_a_line_that_is_too_long_costs_itself_alone() -> None:
    long = b'{"k":1,"x":2,"note":"' + b"n" * (1 << 20) + b'"}\n'
    data = b'{"k":1,"x":1}\n' + long + b'\n{"k":1,"x":3}\n' + long[:-1]
    for size in (len(data), 1000, 65_536):
        block, _ = run(JsonLines(Fields.of(SCHEMA)), [data[at : at + size] for at in range(0, len(data), size)])
        assert block is not None
        assert block.numbers.tolist() == [[1.0], [3.0]]
        assert [(reject.before, reject.line, reject.reason, len(reject.data)) for reject in block.rejects] == [
            (1, 2, "the line is longer than 1,048,576 bytes", 500),
            (2, 5, "the line is longer than 1,048,576 bytes", 500),
        ]
