"""What live data is like: inputs as they come, and what is made of them."""

from __future__ import annotations

import codecs
import gzip
import json

import numpy as np
import pytest
from support.records import SCHEMA, decode, outcome, run

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.formats import open_decoder
from recurrio.pipeline.decoding.options import RecordOptions

TIMED = Schema.of("x", "x@+1", key="k", time="t")
LABELLED = Schema.of("x", label="y")


def reasons(block: Block) -> list[str]:
    return [reject.reason for reject in block.rejects]


def test_true_is_not_one_but_may_be_a_category() -> None:
    block = decode('{"k":"a","x":1}\n{"k":"a","x":true}\n{"k":"a","x":0}\n')
    assert block.numbers.tolist() == [[1.0], [0.0]]
    assert reasons(block) == ["x: expected a number, got true (x:category takes it as a category)"]
    schema = Schema.of("x:category", label="y")
    lines = decode('{"x":true,"y":1}\n{"x":"true","y":1}\n', schema=schema)
    rows = decode("x,y\ntrue,1\ntrue,1\n", "csv", schema)
    assert outcome(lines) == outcome(rows)
    assert lines.categories == [["true", "true"]]


def test_an_array_is_never_its_first_object() -> None:
    block = decode('[{"k":"a","x":1},{"k":"a","x":2}]\n{"k":"a","x":3}\n')
    assert block.numbers.tolist() == [[3.0]]
    assert reasons(block) == ["an array, where one object a line is expected (jq -c '.[]' makes that of an array)"]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_blank_lines_are_nothing(form: str) -> None:
    record = b'{"k":"a","x":1}\n' if form == "jsonl" else b"a,1\n"
    data = [record, *[b"\n", b"\r\n", b" \n"] * 20, record]
    decoder = open_decoder(form, Fields.of(SCHEMA), RecordOptions(columns=("k", "x")))
    block, _ = run(decoder, data)
    assert block is not None
    assert (block.size, block.rejects) == (2, [])


def test_half_a_character_in_a_key() -> None:
    block = decode('{"k":"\\ud800","x":1}\n{"k":"a","x":2}\n')
    assert (block.keys, reasons(block)) == (["a"], ["half a character, written with \\u"])


def test_nan_names_its_field_and_the_way_out() -> None:
    block = decode("".join(json.dumps({"k": "a", "x": float("nan") if n % 5 < 2 else n}) + "\n" for n in range(1000)))
    assert (block.size, len(block.rejects)) == (600, 400)
    assert set(reasons(block)) == {"x: expected a number, got NaN, which is no JSON (null is missing)"}


def test_integers_keep_all_their_digits_as_keys() -> None:
    keys = ["9007199254740993", "9007199254740992", "18446744073709551617"]
    assert decode("".join(f'{{"k":{key},"x":1}}\n' for key in keys)).keys == keys
    assert decode("k,x\n" + "".join(f"{key},1\n" for key in keys), "csv").keys == keys


def test_zero_is_a_key_and_nothing_is_none() -> None:
    block = decode('{"k":0,"x":1}\n{"k":"","x":2}\n{"k":null,"x":3}\n{"x":4}\n{"k":0,"x":5}\n')
    assert (block.keys, block.numbers.tolist()) == (["0", "0"], [[1.0], [5.0]])
    assert reasons(block) == ["key k is missing"] * 3
    rows = decode("k,x\n0,1\n,2\n0,5\n", "csv")
    assert (rows.keys, reasons(rows)) == (["0", "0"], ["key k is missing"])


def test_minus_zero_is_another_key_than_zero_in_both_formats() -> None:
    lines = decode('{"k":0,"x":1}\n{"k":-0,"x":-0}\n{"k": -0 ,"x":0}\n')
    assert lines.keys == ["0", "-0", "-0"]
    assert outcome(lines) == outcome(decode("k,x\n0,1\n-0,-0\n-0,-0.0\n", "csv"))


def test_keys_are_any_text() -> None:
    keys = ["../../etc/x", "/a/b", "a\nb", "a\0b", "con", "k" * 4096]
    block = decode("".join(json.dumps({"k": key, "x": 1}) + "\n" for key in keys * 3))
    assert (block.keys, block.rejects) == (keys * 3, [])


def test_a_column_that_is_declared_and_there_twice() -> None:
    assert run(open_decoder("csv", Fields.of(SCHEMA)), [b"k,x,x\na,1,2\n"])[1] == "book: column x appears twice"


def test_numbers_are_ascii_decimals() -> None:
    cells = [b"1e5", b".5", b"5.", b"-0", b"+5", b"1_000", b'"1,234"', b"0x1F", b"5f", b"infinity"]
    cells += ["١٢".encode(), "１".encode()]
    block = decode(b"k,x\n" + b"".join(b"a," + cell + b"\n" for cell in cells), "csv")
    assert block.numbers[:, 0].tolist() == [1e5, 0.5, 5.0, 0.0, 5.0]
    assert [reason.split(" (")[0] for reason in reasons(block)] == [
        f'x: expected a number, got "{cell}"' for cell in ["1_000", "1,234", "0x1F", "5f", "infinity", "١٢", "１"]
    ]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("form", "text"), [("csv", "k,x\na,1\na,2\n"), ("jsonl", '{"k":"a","x":1}\n{"k":"a","x":2}\n')]
)
def test_one_byte_order_mark_goes_and_any_other_is_data(form: str, text: str, size: int) -> None:
    data = codecs.BOM_UTF8 + text.encode()
    block, _ = run(open_decoder(form, Fields.of(SCHEMA)), [data[at : at + size] for at in range(0, len(data), size)])
    assert block is not None
    assert (block.numbers.tolist(), block.rejects) == ([[1.0], [2.0]], [])
    twice = decode(data + data, form)
    assert len(twice.rejects) == 1


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ('{"k":1,"x":1}\n'.encode("utf-16"), "this is UTF-16, not UTF-8; use iconv"),
        ('{"k":1,"x":1}\n'.encode("utf-16-le"), "this is UTF-16, not UTF-8; use iconv"),
        (codecs.BOM_UTF16_BE + '{"k":1}\n'.encode("utf-16-be"), "this is UTF-16"),
        ('{"k":1,"x":1}\n'.encode("utf-32"), "this is UTF-32"),
        (b"\x28\xb5\x2f\xfd\x04", "this is compressed by zstd"),
        (b"PK\x03\x04\x14", "this is a zip archive"),
        (gzip.compress(b'{"k":1,"x":1}\n', mtime=0)[:-9], "the gzip data ends in its middle"),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_plainly_something_else_is_named(data: bytes, what: str, size: int) -> None:
    _, error = run(open_decoder("jsonl", Fields.of(SCHEMA)), [data[at : at + size] for at in range(0, len(data), size)])
    assert error.startswith(f"book: {what}")


def test_gzip_is_read_whole_and_in_pieces() -> None:
    line = b'{"k":"a","x":1}\n'
    data = gzip.compress(line * 300_000) + gzip.compress(line) + bytes(512)
    assert decode(data).size == 300_001


def test_leap_seconds_and_the_end_of_a_day() -> None:
    times = ["2016-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", "2024-01-01T24:00:00Z"]
    block = decode("".join(f'{{"k":1,"x":1,"t":"{time}"}}\n' for time in times), schema=TIMED)
    assert block.times is not None
    assert np.diff(block.times)[:2].tolist() == [1.0, 0.0]
    assert block.times[3] == 1704153600.0
    assert not block.rejects


def test_one_instant_in_seven_forms() -> None:
    same = [
        *("2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00,5Z", "2024-01-01T00:00:00.500000000Z"),
        *("2024-01-01T00:00:00.5z", "2024-01-01 05:30:00.5+0530", "2023-12-31T19:00:00.5-05", "1704067200.5"),
    ]
    for last in (1704067200.5, "1704067200.5"):
        lines = "".join(json.dumps({"k": 1, "x": 1, "t": time}) + "\n" for time in [*same, last])
        block = decode(lines, schema=TIMED)
        assert block.times is not None
        assert block.times.tolist() == [1704067200.5] * 8
    rows = decode("k,x,t\n" + "".join(f'1,1,"{time}"\n' for time in same), "csv", TIMED)
    assert rows.times is not None
    assert rows.times.tolist() == [1704067200.5] * 7


def test_steps_of_a_second_are_exactly_one() -> None:
    seconds = range(1_700_000_000, 1_700_000_100)
    lines = decode("".join(f'{{"k":1,"x":1,"t":{second}}}\n' for second in seconds), schema=TIMED)
    raw = np.zeros(100, [("k", "<i4"), ("x", "<f4"), ("t", "<f8")])
    raw["k"], raw["x"], raw["t"] = 1, 1, seconds
    blocks = decode(raw.tobytes(), "raw", TIMED, dtype="k:i4,x:f4,t:f8")
    assert lines.times is not None
    assert set(np.diff(lines.times)) == {1.0}
    assert outcome(lines) == outcome(blocks)


def test_times_of_a_counter_from_zero() -> None:
    times = [4294967.1, 4294967.2, 0.0, 0.1]
    block = decode("".join(f'{{"x":1,"up":{time}}}\n' for time in times), schema=Schema.of("x", "x@+1", time="up"))
    assert block.times is not None
    assert block.times.tolist() == times


def test_classes_are_texts_as_they_stand_in_both_formats() -> None:
    written = ["1", '"1"', "1.0", "true", '" 1"', "null", '""', '"NA"', "1e0", "-0", "0"]
    lines = decode("".join(f'{{"x":1,"y":{label}}}\n' for label in written), schema=LABELLED)
    assert lines.labels == ["1", "1", "1.0", "true", " 1", None, None, None, "1e0", "-0", "0"]
    cells = ["1", "1", "1.0", "true", " 1", "", "", "NA", "1e0", "-0", "0"]
    assert outcome(decode("x,y\n" + "".join(f"1,{label}\n" for label in cells), "csv", LABELLED)) == outcome(lines)


def test_the_order_of_columns_and_the_format_do_not_matter() -> None:
    schema = Schema.of("x,y", "y@+1", key="k")
    rows = [("a", 1.5, "-2"), ("b", 0.1, "1e-7")]
    some = decode("k,x,y\n" + "".join(f"{k},{x},{y}\n" for k, x, y in rows), "csv", schema)
    other = decode("k,y,x\n" + "".join(f"{k},{y},{x}\n" for k, x, y in rows), "csv", schema)
    lines = decode("".join(f'{{"y":{y},"k":"{k}","x":{x}}}\n' for k, x, y in rows), schema=schema)
    tabs = decode("y\tx\tk\n" + "".join(f"{y}\t{x}\t{k}\n" for k, x, y in rows), "tsv", schema)
    assert outcome(some) == outcome(other) == outcome(lines) == outcome(tabs)


def test_tokens_that_are_missing_are_so_in_both_formats() -> None:
    options = {"missing": ("-200", "-9999", "?")}
    lines = '{"k":1,"x":-200}\n{"k":1,"x":-9999.0}\n{"k":1,"x":"?"}\n{"k":1,"x":"-2e2"}\n{"k":1,"x":20}\n'
    block = decode(lines, **options)
    assert np.isnan(block.numbers[:, 0]).tolist() == [True] * 4 + [False]
    assert outcome(block) == outcome(decode("k,x\n1,-200\n1,-9999.0\n1,?\n1,-2e2\n1,20\n", "csv", **options))


def test_what_is_no_record_of_these_is_rejected() -> None:
    block = decode('{"op":"subscribe","k":1}\n{"k":1,"x":null}\n')
    assert (block.size, reasons(block)) == (1, ["none of the declared fields; it has: op, k"])


def test_zeros_that_a_truncated_log_begins_with() -> None:
    data = bytes(3_000_000) + b'{"k":"a","x":1}\n' + bytes(100) + b'{"k":"a","x":2}\n'
    block, _ = run(
        open_decoder("jsonl", Fields.of(SCHEMA)), [data[at : at + 65536] for at in range(0, len(data), 65536)]
    )
    assert block is not None
    assert (block.numbers.tolist(), block.rejects) == ([[1.0], [2.0]], [])
