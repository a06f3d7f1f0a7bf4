"""Raw blocks: their layout, what their values mean, and what is left at the end."""

from __future__ import annotations

import gzip
import math
import re

import numpy as np
import pytest
from support.records import SCHEMA, decode, run

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.formats import open_decoder
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.decoding.raw import parse_dtype

PAIR = Schema.of("x,y", "x@+1")


def test_the_layout() -> None:
    assert parse_dtype("x:f4, y:>f8,k:i8,name:S16") == np.dtype(
        [("x", "<f4"), ("y", ">f8"), ("k", "<i8"), ("name", "S16")]
    )
    assert parse_dtype("a:b:u1").names == ("a:b",)


@pytest.mark.parametrize("text", ["", "f4", "x:f3", "x:f1", "x:O", "x:f4,", "x:U4", "x:S0", "x:S", "x:f16", ":f4"])
def test_what_is_no_layout(text: str) -> None:
    with pytest.raises(ValueError, match="dtype: expected fields with their types, as x:f4,k:i8,name:S16"):
        parse_dtype(text)


@pytest.mark.parametrize(
    ("schema", "dtype", "message"),
    [
        (PAIR, None, "dtype: expected fields with their types, as x:f4,k:i8,name:S16, got none"),
        (PAIR, "x:f4,x:f4", "dtype: expected each field once, got x"),
        (PAIR, "x:f4", "dtype: expected a field y, got x:f4"),
        (SCHEMA, "x:f4,k:f8", "dtype: expected k as an integer or bytes"),
        (SCHEMA, "x:S4,k:i8", "dtype: expected x as a number"),
    ],
)
def test_a_layout_has_to_fit_the_schema(schema: Schema, dtype: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        open_decoder("raw", Fields.of(schema), RecordOptions(dtype=dtype))


def test_nan_is_missing_infinity_is_rejected_and_a_part_of_a_record_is_named() -> None:
    rows = np.arange(2000, dtype="<f4").reshape(1000, 2)
    rows[10, 0], rows[20, 1] = math.nan, -math.inf
    data = rows.tobytes() + b"\1\2\3"
    for size in (len(data), 1, 7):
        decoder = open_decoder("raw", Fields.of(PAIR), RecordOptions(dtype="x:f4,y:f4"))
        block, error = run(decoder, [data[at : at + size] for at in range(0, len(data), size)])
        assert not error
        assert block is not None
        assert block.numbers.tobytes() == np.delete(rows, 20, axis=0).astype(float).tobytes()
        assert [(reject.before, reject.line, reject.reason, reject.data) for reject in block.rejects] == [
            (20, 21, "y: expected a finite number, got -inf", rows[20].tobytes()),
            (999, 1001, "3 bytes at the end, where a record has 8 (x:f4,y:f4)", b"\1\2\3"),
        ]


def test_keys_categories_and_times() -> None:
    schema = Schema.of("x,c:category", label="l", key="k", time="t:ms")
    dtype = "k:S4,x:i2,c:u1,l:S8,t:u8"
    rows = np.zeros(4, parse_dtype(dtype))
    rows["k"], rows["x"], rows["c"] = [b"a", b"", b"\xff", b"\xc3\xa4"], [1, 2, 3, -9999], 7
    rows["l"], rows["t"] = [b"red", b"", b"", b"NA"], 1_700_000_000_000
    block = decode(rows.tobytes(), "raw", schema, dtype=dtype, missing=("-9999",))
    assert np.array_equal(block.numbers, [[1.0], [math.nan]], equal_nan=True)
    assert (block.keys, block.categories, block.labels) == (["a", "ä"], [["7", "7"]], ["red", None])
    assert block.times is not None
    assert block.times.tolist() == [1.7e9] * 2
    assert [reject.reason for reject in block.rejects] == [
        "key k is missing",
        'key k: expected text in UTF-8, got "\\udcff"',
    ]


def test_integer_keys_keep_all_digits() -> None:
    rows = np.array([(2**64 - 1, 1.5), (0, 2.5)], parse_dtype("k:u8,x:f8"))
    assert decode(rows.tobytes(), "raw", dtype="k:u8,x:f8").keys == ["18446744073709551615", "0"]


def test_a_time_of_four_bytes_is_refused() -> None:
    schema = Schema.of("x", "x@+1", time="t")
    _, error = run(open_decoder("raw", Fields.of(schema), RecordOptions(dtype="x:f4,t:f4")), [bytes(8)])
    assert error.startswith("book: t: expected a time as f8 or an integer, got f4, whose resolution")
    assert "is 128 s" in error
    assert decode(bytes(12), "raw", schema, dtype="x:f4,t:f8").size == 1


def test_answers_may_be_absent() -> None:
    schema = Schema.of("x", label="l")
    block = decode(np.ones(3, "<f4").tobytes(), "raw", schema, dtype="x:f4", answers=False)
    assert block.labels == [None] * 3


def test_gzip_is_read_too() -> None:
    data = gzip.compress(np.ones((3, 2), "<f4").tobytes()) + gzip.compress(b"\0\0\0")
    block = decode(data, "raw", PAIR, dtype="x:f4,y:f4")
    assert (block.size, len(block.rejects)) == (3, 1)
