"""A table of texts, whole: the rows of a TSV or CSV file with the columns that a task is about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ...core.base.checks import ArgumentError, check_count
from ..sources.source import SourceError
from .block import Reject
from .columns import HEAD
from .csv_header import places_of
from .csv_rows import RowReader, Rows
from .formats import format_of
from .inflate import Inflater
from .lines import Lines, LineSplitter
from .values import Malformed, Values, shown

__all__ = ["Column", "Table", "TableReader", "read_table"]

DELIMITERS = {"csv": ",", "tsv": "\t"}

Column = str | int
"""The name of a column in the header, or its number, from 1, in a table that has no header."""


class Table(NamedTuple):
    """The `rows` of a table in their order, each a text for each column that was asked for; and their `lines`, from 1.

    In `rejects` is what cannot be used: each came before the row that its ``before`` is the index of.
    """

    rows: list[tuple[str, ...]]
    lines: list[int]
    rejects: list[Reject]


class TableReader:
    """Makes tables of bytes that are cut anywhere, one for each piece; `columns` are those of a row.

    Where they are named, the first row is the header, which names all columns, in any order. Where they are numbers,
    there is none, and the first row is one as any other. A row has as many columns as the first, and in each of those
    asked for a text: a cell that is empty, NA or of spaces alone has none. In `form` ``"tsv"`` there is no quoting at
    all: a tab separates, a line ends a row. In ``"csv"`` cells may be quoted, and go over lines then. A line of spaces
    and tabs alone is no row. gzip is recognised. `name` is what messages call the source. With `alone` a table of one
    column is that column, of whatever name or number it was to be: its first row is the header if it names it, and else
    a row as any other.

    Raises ArgumentError; its methods SourceError, where this is no table or has not these columns.
    """

    def __init__(self, columns: Iterable[Column], form: str, name: str = "-", *, alone: bool = False) -> None:
        self._columns, self._name, self._alone = tuple(columns), name, alone
        if form not in DELIMITERS:
            raise ArgumentError("form", f"one of {', '.join(DELIMITERS)}", repr(form))
        numbers = [isinstance(column, int) for column in self._columns]
        if not numbers or any(numbers) != all(numbers):
            raise ArgumentError("columns", "all by name, or all by number", self._columns)
        self._places: list[int] | None = None  # of the columns in a row; None: the header is still to come
        if all(numbers):
            self._places = [check_count("columns", column) - 1 for column in self._columns]
        self._header, self._checked, self._values = "", False, Values()
        self._inflater, self._splitter = Inflater(), LineSplitter()
        self._rows = RowReader(DELIMITERS[form], quotes=form == "csv")

    def feed(self, data: bytes) -> Table:
        """The rows that end in `data`."""
        table = Table([], [], [])
        try:
            for piece in self._inflater.feed(data):
                self._add(table, self._splitter.feed(piece), last=False)
        except SourceError as error:
            raise SourceError(f"{self._name}: {error}") from None
        return table

    def finish(self) -> Table:
        """The last row, which needs no end."""
        table = Table([], [], [])
        try:
            self._add(table, self._splitter.feed(self._inflater.finish()), last=False)
            self._add(table, self._splitter.finish(), last=True)
        except SourceError as error:
            raise SourceError(f"{self._name}: {error}") from None
        if not self._checked:
            raise SourceError(f"{self._name}: is empty")
        return table

    def _add(self, table: Table, lines: Lines, *, last: bool) -> None:
        """Put the rows that end in `lines` behind those of the table."""
        rows = self._rows.read(lines, last=last)
        for index, (cells, line, text) in enumerate(zip(rows.cells, rows.places, rows.data, strict=True)):
            if not self._checked:
                self._check(rows, index)
                if self._header:
                    continue
            assert self._places is not None
            reason = rows.bad.get(index)
            if reason is None and text == self._header:
                reason = "the names of the columns again"
            if reason is None:
                try:
                    table.rows.append(tuple([self._text(cells, place) for place in self._places]))
                    table.lines.append(line)
                except Malformed as error:
                    reason = str(error)
            if reason is not None:
                data = text[:HEAD].encode("utf-8", "surrogateescape")
                table.rejects.append(Reject(len(table.rows), self._name, line, reason, data))

    def _check(self, rows: Rows, index: int) -> None:
        """Look in the first row for the columns: for their names, or whether there are so many."""
        self._checked, names = True, rows.cells[index]
        if self._alone and len(names) == len(self._columns) == 1 and index not in rows.bad:
            is_header = self._places is None and bool(places_of(names, [str(self._columns[0])]))
            self._places, self._header = [0], rows.data[index] if is_header else ""
        elif self._places is None:
            if index in rows.bad:
                raise SourceError(f"line {rows.places[index]}, which is to name the columns: {rows.bad[index]}")
            wanted = [str(column) for column in self._columns]
            places = places_of(names, wanted)
            for column in wanted:
                if column not in places:
                    there = ", ".join([shown(name) for name in names])
                    way = "where no line names them, a number, as 2, takes the second"
                    raise SourceError(f"no column {shown(column)}; the columns are: {there} ({way})")
            self._places, self._header = [places[column] for column in wanted], rows.data[index]
        elif index not in rows.bad and max(self._places) >= len(names):
            raise SourceError(f"no column {max(self._places) + 1}; the first row has {len(names)}")

    def _text(self, cells: Sequence[str], place: int) -> str:
        """The text of a cell. Raises Malformed."""
        name = self._called(place)
        text = self._values.text(name, cells[place])
        if text is None or not text.strip():
            raise Malformed(f"{shown(name)} is missing")
        return text

    def _called(self, place: int) -> str:
        assert self._places is not None
        column = self._columns[self._places.index(place)]
        return column if isinstance(column, str) else f"column {column}"


def read_table(path: str | os.PathLike[str], columns: Iterable[Column], form: str | None = None) -> Table:
    """The table in the file at `path`, see `TableReader`; `form` is by how its name ends where it is not given.

    Raises OSError, SourceError, ArgumentError.
    """
    name = os.fspath(path)
    form = form or format_of(name)
    if form not in DELIMITERS:
        Path(path).stat()  # what is not there is another mistake
        raise SourceError(f"{name}: expected a table, whose name ends with .tsv or .csv")
    reader = TableReader(columns, form, name)
    table = reader.feed(Path(path).read_bytes())
    rest = reader.finish()
    rejects = [reject._replace(before=reject.before + len(table.rows)) for reject in rest.rejects]
    return Table(table.rows + rest.rows, table.lines + rest.lines, table.rejects + rejects)
