"""CSV and TSV: columns by name, quotes within bounds, what is wrong with a header, and the same values as in JSON."""

from __future__ import annotations

import csv
import io
import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.records import SCHEMA, decode, outcome, run

from recurrio.core.online.schema import Schema
from recurrio.pipeline.decoding.csv_lines import CsvLines
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.formats import open_decoder
from recurrio.pipeline.decoding.options import RecordOptions

ALL = Schema.of("x,c:category", label="l", key="k", time="t")
QUOTED = Schema.of("x,c:category", "x@+1", key="k")


def fault(data: str, form: str = "csv", schema: Schema = SCHEMA, **options: object) -> str:
    """The error that ends `data`."""
    decoder = open_decoder(form, Fields.of(schema), RecordOptions(**options))  # type: ignore[arg-type]
    _, error = run(decoder, [data.encode()])
    return error


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from(["a", "7", 7, 0, 2**70, "ä, b", 'q"', "a\nb", ""]),
            "x": st.one_of(
                st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.sampled_from(["1e3", "x"])
            ),
            "c": st.sampled_from(["red", 1, True, None, "NA", "?", "a b", "-9999"]),
            "l": st.sampled_from(["1", 1, 1.0, False, " 1", None]),
            "t": st.sampled_from([1700000000, 1700000000.25, "2024-01-01T00:00:00.5Z", "2024-01-01", "noon", None]),
        }
    ),
    max_size=5,
)


@given(ROWS)
@settings(max_examples=300, deadline=None)
def test_the_same_data_is_the_same_to_the_bit_as_in_json(rows: list[dict[str, object]]) -> None:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["t", "unused", "c", "x", "k", "l"])
    for row in rows:
        cells = {name: str(v).lower() if isinstance(v, bool) else v for name, v in row.items()}
        writer.writerow([cells["t"], "u", cells["c"], cells["x"], cells["k"], cells["l"]])
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    options = {"missing": ("?", "-9999")}
    some, other = decode(file.getvalue(), "csv", ALL, **options), decode(lines, "jsonl", ALL, **options)
    assert outcome(some._replace(rejects=[])) == outcome(other._replace(rejects=[]))
    assert [(r.before, r.reason) for r in some.rejects] == [(r.before, r.reason) for r in other.rejects]


@given(
    st.lists(
        st.tuples(
            st.text(max_size=6).filter(lambda text: not {"\r", "\0"} & {*text}), st.text("0123456789", max_size=3)
        )
    ),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
@settings(deadline=None)
def test_it_reads_what_python_writes(pairs: list[tuple[str, str]], quoting: int) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=quoting, lineterminator="\n").writerows(
        [("c", "x", "k"), *((c, x, "k") for c, x in pairs)]
    )
    block = decode(file.getvalue().encode("utf-8", "surrogatepass"), "csv", QUOTED)
    good = [
        (None if c in ("", "NA") else c, x)
        for c, x in pairs
        if c.isascii() or c.encode("utf-8", "replace").decode() == c
    ]
    assert block.categories == [[c for c, _ in good]]
    expected = np.array([[float(x or "nan")] for _, x in good]).reshape(-1, 1)
    assert np.array_equal(block.numbers, expected, equal_nan=True)


def test_columns_go_by_name() -> None:
    for text in ("k,y,x\na,101,1\n", "x,k\n1,a\n", "y, x ,k\r\n,1,a\r\n", '"k","x"\n"a","1"', "k,x,n,n\na,1,2,3\n"):
        assert decode(text, "csv").numbers.tolist() == [[1.0]]
    assert decode("a;1,5\nb;2\n", "csv", columns=("k", "x"), delimiter=";", decimal=",").numbers.tolist() == [
        [1.5],
        [2.0],
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("k,x,x\na,1,2\n", "book: column x appears twice"),
        ("k;x\na;1\n", "no column x and no column k; the columns are: k;x (--delimiter ';' splits them)"),
        ("k\tx\na\t1\n", "(--delimiter $'\\t' (or --format tsv) splits them)"),
        ("sep=;\nk;x\n", "columns are: sep=; (the first line is for spreadsheets: --skip-lines 1 --delimiter ';')"),
        ("a,1.5\nb,2\n", "these look like values: where no line names the columns, --columns a,b,c does"),
        ("Station 7\nk,x\n", "columns are: Station 7 (where other lines stand above their names, --skip-lines N skips"),
        ("k,y\na,1\n", "no column x; the columns are: k, y (where"),
        ('k,"x\na,1\n', "line 1, which is to name the columns: a quote that is not closed"),
        (",".join(f"c{n}" for n in range(30)), "c18, c19 and 10 more"),
    ],
)
def test_what_is_wrong_with_a_header(text: str, message: str) -> None:
    assert message in fault(text)


def test_lines_above_the_header_are_skipped() -> None:
    text = 'Station "7\n\nunits: hPa\nk,x\na,1\na,2\n'
    block = decode(text, "csv", skip_lines=3)
    assert (block.numbers.tolist(), block.rejects) == ([[1.0], [2.0]], [])
    assert decode("sep=;\nk;x\na;1\n", "csv", skip_lines=1, delimiter=";").size == 1
    assert decode("sep=;\n", "csv", skip_lines=5).size == 0


def test_rows_of_another_width_are_rejected_and_repeated_headers_are_not() -> None:
    text = "k,x\na,1\na\nk,x\na,1,2\n\n  \nk,x\na,2"
    decoder = CsvLines(Fields.of(SCHEMA))
    block, _ = run(decoder, [text.encode()])
    assert block is not None
    assert block.numbers.tolist() == [[1.0], [2.0]]
    assert [(reject.line, reject.reason, reject.data) for reject in block.rejects] == [
        (3, "expected 2 columns, got 1", b"a"),
        (5, "expected 2 columns, got 3", b"a,1,2"),
    ]
    assert decoder.repeated_headers == 2
    assert decode("k,x\na,1\n", "csv", columns=("k", "x")).size == 1


def test_a_quoted_cell_may_go_over_lines() -> None:
    block = decode('k,x,c\na,1,"one\r\ntwo, ""three"""\r\nb,2,\r\n', "csv", QUOTED)
    assert block.categories == [['one\r\ntwo, "three"', None]]


@pytest.mark.parametrize("size", [1, 10, 4096, 10_000_000])
def test_a_quote_that_is_never_closed_costs_its_own_line(size: int) -> None:
    rows = 100_000 if size > 1000 else 300
    data = b'k,note,x\na,"ok,1\na,b,2\na,c,3\n' + b"".join(b"a,n,%d\n" % n for n in range(rows))
    block, _ = run(CsvLines(Fields.of(SCHEMA)), [data[at : at + size] for at in range(0, len(data), size)])
    assert block is not None
    assert block.numbers[:, 0].tolist() == [2, 3, *range(rows)]
    assert [(reject.before, reject.line, reject.reason, reject.data) for reject in block.rejects] == [
        (0, 2, "a quote that is not closed", b'a,"ok,1')
    ]


def test_quotes_that_are_never_closed_are_bounded_in_bytes_too() -> None:
    rows = b"".join(b'a,%s,"\n' % (b"n" * 40_000) for _ in range(9))
    block, _ = run(CsvLines(Fields.of(SCHEMA)), [b"k,note,x\n" + rows + b"a,b,1\n"])
    assert block is not None
    assert block.numbers.tolist() == [[1.0]]
    assert [reject.line for reject in block.rejects] == [*range(2, 11)]


def test_text_behind_a_closing_quote_costs_its_line() -> None:
    block = decode('k,x,c\na,1,"b"c\na,2,"b\na,3,"d"\na,4,a"b\n', "csv", QUOTED)
    assert block.numbers.tolist() == [[3.0], [4.0]]
    assert block.categories == [["d", 'a"b']]
    assert [reject.reason for reject in block.rejects] == [
        "text behind a closing quote, where ',' is expected",
        "a quote that is not closed",
    ]


def test_tsv_has_no_quotes() -> None:
    block = decode('k\tx\tc\na\t1\t"b\nb\t2\t""\n\t\t\n', "tsv", QUOTED)
    assert block.categories == [['"b', '""']]
    assert fault("k,x\na,1\n", "tsv") == (
        "book: no column x and no column k; the columns are: k,x (--delimiter , splits them)"
    )


def test_bytes_that_are_no_text_matter_only_where_they_are_declared() -> None:
    block = decode(b"k,temp \xb0C,c,x\na,\xff,red,1\na,,\xff,2\n\xff,,,3\n", "csv", QUOTED)
    assert block.numbers.tolist() == [[1.0]]
    assert [reject.reason for reject in block.rejects] == [
        'c: expected text in UTF-8, got "\\udcff"',
        'key k: expected text in UTF-8, got "\\udcff"',
    ]
    assert block.rejects[0].data == b"a,,\xff,2"


def test_answers_may_be_absent() -> None:
    schema = Schema.of("x", label="l")
    assert "no column l" in fault("x\n1\n", schema=schema)
    assert decode("x\n1\n", "csv", schema, answers=False).labels == [None]
    forecast = Schema.of("x", "y@+1")
    assert np.array_equal(decode("x\n1\n", "csv", forecast, answers=False).numbers, [[1.0, np.nan]], equal_nan=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"delimiter": ";;"}, "delimiter: expected one character, no quote and no end of line, got ';;'"),
        ({"delimiter": '"'}, "delimiter: expected one character"),
        (
            {"decimal": ","},
            "delimiter: expected another character than that before the decimals (--delimiter ';'), got ','",
        ),
        ({"skip_lines": -1}, "skip_lines: expected a whole number of at least 0, got -1"),
        ({"columns": ("k", "y")}, "columns: expected those that are declared, got these: no column x"),
        ({"columns": ("k", "x", "x")}, "columns: expected those that are declared, got these: column x appears twice"),
    ],
)
def test_options_that_cannot_be_used(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        open_decoder("csv", Fields.of(SCHEMA), RecordOptions(**options))  # type: ignore[arg-type]


def test_it_tells_which_columns_it_has_seen() -> None:
    decoder = open_decoder("csv", Fields.of(SCHEMA))
    assert decoder.seen == []
    run(decoder, [b"k,x,y\n"])
    assert decoder.seen == ["k", "x", "y"]
