"""The rules for values: numbers, what is missing, texts and keys; and programs' own records, by the same rules."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import SCHEMA, decode, outcome

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.objects import decode_frame, decode_objects
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.decoding.values import Malformed, TextCache, Values, are_keys, key_text, quoted, shown

NUMBERS = {"1e5": 1e5, ".5": 0.5, "5.": 5.0, "-0": 0.0, "+5": 5.0, "1E-3": 1e-3, " 7\t": 7.0, "007": 7.0, "1e-999": 0.0}
NONE = [
    "1_000",
    "1,234",
    "0x1F",
    "5f",
    "infinity",
    "nan",
    "١٢",
    "１",
    "1e",
    ".",
    "+",
    "--1",
    "1 2",
    "1e999",
    "true",
    "²",
]
MISSING = ["", "NA", " ", "?", "-9999", "-9999.0", "-9.999e3", " -9999"]


@pytest.mark.parametrize("text", NUMBERS)
def test_ascii_decimals_are_numbers(text: str) -> None:
    values, bad = Values(), dict[int, str]()
    assert values.number("x", text) == values.column("x", [text], bad)[0] == NUMBERS[text]
    assert not bad
    assert math.copysign(1, values.number("x", text)) == 1


@pytest.mark.parametrize("text", NONE)
def test_nothing_else_is_one(text: str) -> None:
    values, bad = Values(), dict[int, str]()
    with pytest.raises(Malformed, match=r"x: expected a (finite )?number, got "):
        values.number("x", text)
    assert math.isnan(values.column("x", ["1", text], bad)[1])
    assert [*bad] == [1]


@given(st.text("0123456789+-.eE_ ,", max_size=8))
def test_a_column_of_texts_is_what_each_of_them_is(text: str) -> None:
    values, bad = Values(), dict[int, str]()
    column = values.column("x", [text, "1"], bad)
    values.clean(column)
    try:
        expected: bytes | str = np.float64(values.number("x", text)).tobytes()
    except Malformed as reason:
        expected = str(reason)
    assert bad.get(0, column[:1].tobytes()) == expected


@pytest.mark.parametrize("text", MISSING)
def test_what_is_missing(text: str) -> None:
    values, bad = Values(("?", "-9999")), dict[int, str]()
    assert math.isnan(values.number("x", text))
    column = values.column("x", [text, "2"], bad)
    values.clean(column)
    assert math.isnan(column[0])
    assert not bad


def test_the_comma_before_decimals() -> None:
    values, bad = Values(decimal=","), dict[int, str]()
    assert values.column("x", ["1,5", "-2", "3,"], bad).tolist() == [1.5, -2.0, 3.0]
    assert math.isnan(values.column("x", ["1,5", "1.234,5"], bad)[1])
    assert math.isnan(values.column("x", ["1.5"], bad)[0])
    assert len(bad) == 2
    with pytest.raises(ValueError, match=r"decimal: expected one of \. and ,, got ';'"):
        Values(decimal=";")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1,5", 'x: expected a number, got "1,5" (--decimal , takes a comma before the decimals)'),
        ("red", 'x: expected a number, got "red" (x:category takes it as a category)'),
        ("NaN", 'x: expected a number, got "NaN" (null or an empty cell is missing; so is what --missing names)'),
        ("1e999", 'x: expected a finite number, got "1e999"'),
        ("a\nb\x1b", 'x: expected a number, got "a\\nb\\x1b" (x:category takes it as a category)'),
        ("9" * 900 + "f", f'x: expected a number, got "{"9" * 39}…"'),
    ],
)
def test_the_reason_names_the_field_the_value_and_the_way_out(text: str, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        Values().number("x", text)
    assert str(caught.value) == reason


def test_texts_are_taken_as_they_stand() -> None:
    values = Values(("-9999", "?"))
    assert [values.text("c", cell) for cell in ["red", " 1", 1, "1.0", "true", 2**70]] == [
        "red", " 1", "1", "1.0", "true", str(2**70),
    ]  # fmt: skip
    assert [values.text("c", cell) for cell in [None, "", "NA", "?", -9999, "-9999.0"]] == [None] * 6
    with pytest.raises(Malformed, match=r'c: expected text in UTF-8, got "\\ud800"'):
        values.text("c", "\ud800")


def test_keys() -> None:
    assert key_text("k", 2**64 + 1) == "18446744073709551617"
    assert key_text("k", 0) == "0"
    assert key_text("k", "x" * 4096)
    for cell, reason in [
        (None, "key k is missing"),
        ("", "key k is missing"),
        ("ä" * 2049, "key k: expected at most 4,096 bytes, got 4,098"),
        ("a\udcff", 'key k: expected text in UTF-8, got "a\\udcff"'),
    ]:
        with pytest.raises(Malformed) as caught:
            key_text("k", cell)
        assert str(caught.value) == reason


CELLS = st.sampled_from(["", "a", "dev-1", "a\0", "ä" * 1024, "ä" * 2049, "x" * 1025, "x" * 4097, "\ud800", "\udc00"])


@given(st.lists(CELLS | st.none() | st.integers(-1, 1) | st.text(min_size=1)))
def test_keys_as_they_stand_are_what_each_by_itself_would_be(cells: list[str | int | None]) -> None:
    cache, slow = TextCache("k", key_text, are_keys), TextCache("k", key_text)
    bad, reasons = dict[int, str](), dict[int, str]()
    assert cache.column(cells, bad) == slow.column(cells, reasons)
    assert bad == reasons
    assert cache.zero == slow.zero


def test_plain_keys_are_taken_as_they_stand() -> None:
    assert are_keys(["a", "ä" * 1024])
    assert not any(are_keys([cell]) for cell in ["", "ä" * 1025, "\ud800", None, 0])


def test_a_cache_of_texts_is_bounded() -> None:
    cache, bad = TextCache("k", key_text), dict[int, str]()
    for start in range(0, 200_000, 1000):
        keys = list(range(start, start + 1000))
        assert cache.column(keys, bad) == [*map(str, keys)]
    assert len(cache) < 70_000
    assert cache.column(["x" * 100, "", "y"], bad) == ["x" * 100, None, "y"]
    assert bad == {1: "key k is missing"}
    assert "x" * 100 not in cache


def test_what_is_shown_is_short_and_on_one_line() -> None:
    assert quoted("a\nb\0\u202e") == '"a\\nb\\x00\\u202e"'
    assert shown("x" * 99) == "x" * 39 + "…"


def test_programs_records_are_taken_by_the_same_rules() -> None:
    schema = Schema.of("x,n.y,c:category", "x@+1", key="k", time="t")
    moment = datetime.datetime(2024, 1, 1, 5, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=5.5)))
    items: list[Any] = [
        {"k": "a", "x": 1, "n": {"y": np.float32(2.5)}, "c": True, "t": moment},
        {"k": np.int64(7), "x": "1e3", "n.y": math.nan, "c": 1.0, "t": np.datetime64("2024-01-01T00:00:00.25")},
        {"k": "a", "x": math.inf, "t": 1},
        {"k": "a", "x": True, "t": 1},
        {"k": 1.5, "x": 1, "t": 1},
        {"k": "a", "x": 10**400, "t": 1},
        {"k": "a", "z": 1},
        {"k": "a", "x": Decimal("0.1"), "c": None, "t": np.datetime64("NaT", "s")},
        [1],
        {"k": "\ud800", "x": 1, "t": 1},
        {"k": "a", "x": Decimal("0.1"), "c": np.str_("red"), "t": datetime.date(2024, 1, 1)},
    ]
    block = decode_objects(Fields.of(schema), items)
    assert block.numbers[:, 0].tolist() == [1.0, 1000.0, 0.1]
    assert np.array_equal(block.numbers[:, 1], [2.5, math.nan, math.nan], equal_nan=True)
    assert block.keys == ["a", "7", "a"]
    assert block.categories == [["true", "1.0", "red"]]
    assert block.times is not None
    assert block.times.tolist() == [1704067200.0, 1704067200.25, 1704067200.0]
    assert [(reject.before, reject.line, reject.reason) for reject in block.rejects] == [
        (2, 3, "x: expected a finite number, got inf"),
        (2, 4, "x: expected a number, got True (x:category takes it as a category)"),
        (2, 5, "key k: expected text or a whole number, got 1.5"),
        (2, 6, "x: expected a finite number, got inf"),
        (2, 7, "none of the declared fields; it has: k, z"),
        (2, 8, "time t is missing"),
        (2, 9, "expected a mapping of fields to values, got list"),
        (2, 10, 'key k: expected text in UTF-8, got "\\ud800"'),
    ]


class Column:
    """As a frame's."""

    def __init__(self, values: Any) -> None:  # noqa: ANN401
        self.values = np.asarray(values)

    def to_numpy(self) -> np.ndarray:
        return self.values


def test_the_columns_of_a_frame() -> None:
    schema = Schema.of("x,c:category", "x@+1", key="k", time="t")
    times = np.array(["2024-01-01", "2024-01-02", "NaT"], "datetime64[us]")
    frame = {
        "x": Column([1, 2, 3]),
        "c": Column(np.array(["a", None, "b"], object)),
        "k": [1, 2, 3],
        "t": times,
        "z": [0] * 9,
    }
    block = decode_frame(Fields.of(schema), frame, origin="table")
    assert block.numbers.tolist() == [[1.0], [2.0]]
    assert (block.keys, block.categories) == (["1", "2"], [["a", None]])
    assert [(reject.origin, reject.line, reject.reason) for reject in block.rejects] == [
        ("table", 3, "time t is missing")
    ]
    flags = decode_frame(Fields.of(SCHEMA), {"k": ["a"], "x": np.array([True])})
    assert flags.rejects[0].reason == "x: expected a number, got True (x:category takes it as a category)"
    with pytest.raises(ValueError, match="frame: expected a column x, got k, y"):
        decode_frame(Fields.of(SCHEMA), {"k": ["a"], "y": [1]})
    with pytest.raises(ValueError, match="frame: expected columns of one length"):
        decode_frame(Fields.of(SCHEMA), {"k": ["a"], "x": [1, 2]})
    unlabelled = Schema.of("x", label="l")
    with pytest.raises(ValueError, match="frame: expected a column l"):
        decode_frame(Fields.of(unlabelled), {"x": [1.0]})
    assert decode_frame(Fields.of(unlabelled), {"x": [1.0]}, RecordOptions(answers=False)).labels == [None]


def test_a_frame_is_the_same_records_as_lines() -> None:
    lines = '{"k":"a","x":1.5}\n{"k":"b","x":null}\n{"k":7,"x":-0.0}\n'
    frame = decode_frame(
        Fields.of(SCHEMA), {"k": np.array(["a", "b", 7], object), "x": np.array([1.5, math.nan, -0.0])}
    )
    items = decode_objects(Fields.of(SCHEMA), [{"k": "a", "x": 1.5}, {"k": "b", "x": None}, {"k": 7, "x": -0.0}])
    assert outcome(decode(lines)) == outcome(frame) == outcome(items)
