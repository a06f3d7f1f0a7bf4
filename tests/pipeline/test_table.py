"""Tables of texts: their columns, what a row is in TSV and in CSV, and what is rejected."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core import ArgumentError
from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.table import Column, Table, TableReader, read_table


def read(data: str | bytes, columns: tuple[Column, ...] = ("label", "text"), form: str = "tsv", size: int = 0) -> Table:
    """The table of `data`, which comes in pieces of `size` bytes, or in one."""
    data, reader = data.encode() if isinstance(data, str) else data, TableReader(columns, form, "file")
    whole = Table([], [], [])
    pieces = [data[at : at + size] for at in range(0, len(data), size)] if size else [data]
    for number in range(len(pieces) + 1):
        table = reader.feed(pieces[number]) if number < len(pieces) else reader.finish()
        moved = [reject._replace(before=reject.before + len(whole.rows)) for reject in table.rejects]
        whole = Table(whole.rows + table.rows, whole.lines + table.lines, whole.rejects + moved)
    return whole


def test_tsv_has_no_quotes() -> None:
    table = read('text\tvalence\tlabel\n"open\t1\tgood\r\nsay ""so""\t2\tbad\n\n"\t"\t"')
    assert table.rows == [("good", '"open'), ("bad", 'say ""so""'), ('"', '"')]
    assert table.lines == [2, 3, 5]
    assert table.rejects == []


def test_csv_has_quotes_and_they_go_over_lines() -> None:
    table = read('label,text\na,"one, ""two""\nthree"\nb,four\n', form="csv")
    assert table.rows == [("a", 'one, "two"\nthree'), ("b", "four")]
    assert table.lines == [2, 4]


def test_what_cannot_be_used_is_named_by_its_line() -> None:
    data = b"label\ttext\na\tone\nb\n\tno label\nNA\ttwo\nc\t   \nd\t\xff\nlabel\ttext\ne\tthree\textra\nf\tlast"
    table = read(data)
    assert table.rows == [("a", "one"), ("f", "last")]
    assert [(reject.before, reject.line, reject.reason) for reject in table.rejects] == [
        (1, 3, "expected 2 columns, got 1"),
        (1, 4, "label is missing"),
        (1, 5, "label is missing"),
        (1, 6, "text is missing"),
        (1, 7, 'text: expected text in UTF-8, got "\\udcff"'),
        (1, 8, "the names of the columns again"),
        (1, 9, "expected 2 columns, got 3"),
    ]
    assert {reject.origin for reject in table.rejects} == {"file"}
    assert table.rejects[0].data == b"b"


def test_columns_by_number_are_those_of_a_table_without_names() -> None:
    table = read("label\ttext\na\tone\n", (2, 1))
    assert table.rows == [("text", "label"), ("one", "a")]
    assert read("one\n\ntwo\n", (1,)).rows == [("one",), ("two",)]
    assert read("a\t\n", (1, 2)).rejects[0].reason == "column 2 is missing"


@pytest.mark.parametrize("column", ["text", 2])
def test_one_column_alone_is_the_one_that_was_asked_for(column: Column) -> None:
    def alone(data: bytes, form: str = "tsv") -> Table:
        reader = TableReader((column,), form, alone=True)
        first, rest = reader.feed(data), reader.finish()
        return Table(first.rows + rest.rows, first.lines + rest.lines, first.rejects + rest.rejects)

    header = ["text"] * (column == 2)
    assert [text for (text,) in alone(b"text\nit is\nso\n").rows] == [*header, "it is", "so"]
    assert alone(b"it is\nso\tnot\n \nso").rows == [("it is",), ("so",)]
    assert alone(b'"it is, so"\n', "csv").rows == [("it is, so",)]
    assert alone(b"label\ttext\n?\tit is\n").rows[-1] == ("it is",)
    if column == "text":
        with pytest.raises(SourceError, match="no column text; the columns are: a, b"):
            alone(b"a\tb\n")


@pytest.mark.parametrize(
    ("data", "columns", "says"),
    [
        ("", ("text",), "file: is empty"),
        ("\n \n", (1,), "file: is empty"),
        ("a\tb\n1\t2\n", ("text",), r"no column text; the columns are: a, b \(.* a number, as 2"),
        ("text\ttext\n", ("text",), "column text appears twice"),
        ("a\tb\n", (3,), "no column 3; the first row has 2"),
        ("text\n".encode("utf-16"), ("text",), "UTF-16, not UTF-8"),
    ],
)
def test_no_table_to_work_with(data: str | bytes, columns: tuple[Column, ...], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read(data, columns)


@pytest.mark.parametrize("columns", [(), ("text", 1), (0,), (True, 1.5)])
def test_columns_that_make_no_sense(columns: tuple[Column, ...]) -> None:
    with pytest.raises(ArgumentError, match="columns"):
        TableReader(columns, "tsv")
    with pytest.raises(ArgumentError, match="form: expected one of csv, tsv"):
        TableReader(("text",), "jsonl")


CELLS = st.text(st.sampled_from("ab\"', é漢\N{SNOWMAN}"), min_size=1).filter(lambda text: text.strip())


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1), st.integers(1, 9), st.sampled_from(["tsv", "csv"]))
def test_rows_go_round_however_the_bytes_come(rows: list[tuple[str, str]], size: int, form: str) -> None:
    if form == "tsv":
        data = "".join(f"{label}\t{text}\n" for label, text in [("label", "text"), *rows])
    else:
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([("label", "text"), *rows])
        data = written.getvalue()
    table = read(data, form=form, size=size)
    assert table.rows == rows
    assert table.rejects == []
    assert table == read(gzip.compress(data.encode()), form=form, size=size)


def test_a_file_is_read_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_bytes(b"en\tfr\nyes\toui\nno")
    table = read_table(tmp_path / "rows.tsv", ["fr", "en"])
    assert table.rows == [("oui", "yes")]
    assert [(reject.before, reject.line) for reject in table.rejects] == [(1, 3)]
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"en,fr\nyes,oui\n"))
    assert read_table(tmp_path / "rows.csv.gz", ["en"]).rows == [("yes",)]
    (tmp_path / "rows.txt").write_bytes(b"en\tfr\nyes\toui\n")
    assert read_table(tmp_path / "rows.txt", ["en"], "tsv").rows == [("yes",)]
    with pytest.raises(SourceError, match=r"expected a table, whose name ends with \.tsv or \.csv"):
        read_table(tmp_path / "rows.txt", ["en"])
    for name in ("none.tsv", "none"):
        with pytest.raises(FileNotFoundError):
            read_table(tmp_path / name, ["en"])
