"""CSV and TSV: rows by the rules for values, fields by the names of the columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from operator import itemgetter

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ..sources.source import SourceError
from .block import Block
from .columns import HEAD
from .csv_header import check_columns, places_of
from .csv_rows import RowReader, Rows
from .fields import Fields
from .line_decoder import LineDecoder
from .lines import Lines
from .options import RecordOptions
from .times import Moment
from .values import Cell

__all__ = ["CsvLines"]


class CsvLines(LineDecoder):
    """A decoder of CSV, or with `tabs` of TSV, which has tabs and no quotes.

    The first row names the columns, unless the options do. A row that repeats it is no record, and is counted in
    `repeated_headers`. Raises ArgumentError where the options cannot be used.
    """

    def __init__(self, fields: Fields, options: RecordOptions | None = None, *, tabs: bool = False) -> None:
        super().__init__(fields, options)
        options = self.options
        self._delimiter = options.delimiter if options.delimiter is not None else "\t" if tabs else ","
        if len(self._delimiter) != 1 or self._delimiter in '"\r\n\0':
            raise ArgumentError("delimiter", "one character, no quote and no end of line", repr(self._delimiter))
        if options.decimal == self._delimiter:
            expected = "another character than that before the decimals (--delimiter ';')"
            raise ArgumentError("delimiter", expected, repr(self._delimiter))
        self._skip = check_count("skip_lines", options.skip_lines, 0)
        self.repeated_headers = 0
        self._rows = RowReader(self._delimiter, quotes=not tabs)
        self._header: list[str] | None = None
        self._repeated = ""  # a row that repeats the header
        self._picks: dict[str, int] = {}
        if options.columns:
            self._rows.width = len(options.columns)
            self._repeated = self._delimiter.join(options.columns)
            try:
                self._take_header(list(options.columns))
            except SourceError as error:
                raise ArgumentError("columns", "those that are declared", f"these: {error}") from None

    def _take_header(self, names: list[str]) -> None:
        fields, times = self._columns.fields, self._columns.times
        needed = [*fields.required, *([times.name] if times else [])]
        self._picks = places_of(names, [*needed, *fields.answers])
        needed += fields.answers if self.options.answers else ()
        check_columns(names, needed, self._picks, self._delimiter)
        self._header = names
        self._names.add(names)

    def _decode(self, lines: Lines, *, last: bool) -> Block:
        if lines.first <= self._skip:
            drop = min(self._skip - lines.first + 1, len(lines.lines))
            lines = Lines(lines.first + drop, lines.lines[drop:], lines.long)
        rows = self._rows.read(lines, last=last)
        if self._header is None:
            if not rows.cells:
                return self._columns.empty()
            if 0 in rows.bad:
                raise SourceError(f"line {rows.places[0]}, which is to name the columns: {rows.bad[0]}")
            self._take_header(rows.cells[0])
            self._repeated = rows.data[0]
            rows = Rows(rows.cells[1:], rows.places[1:], rows.data[1:], {at - 1: why for at, why in rows.bad.items()})
        if self._repeated in rows.data:
            rows = self._without_headers(rows)
        return self._block(rows) if rows.cells else self._columns.empty()

    def _without_headers(self, rows: Rows) -> Rows:
        kept = [index for index, text in enumerate(rows.data) if text != self._repeated]
        self.repeated_headers += len(rows.data) - len(kept)
        return Rows(
            [rows.cells[index] for index in kept],
            [rows.places[index] for index in kept],
            [rows.data[index] for index in kept],
            {new: rows.bad[old] for new, old in enumerate(kept) if old in rows.bad},
        )

    def _block(self, rows: Rows) -> Block:
        columns, fields = self._columns, self._columns.fields
        bad, cells = dict(rows.bad), rows.cells
        if bad:  # a row of nothing, so that columns are of one length
            nothing = [""] * (self._rows.width or 0)
            cells = [row or nothing for row in cells]
        numbers = np.full((len(cells), len(fields.numbers)), np.nan)
        for index, name in enumerate(fields.numbers):
            if (place := self._picks.get(name)) is not None:
                numbers[:, index] = columns.values.column(name, list(map(itemgetter(place), cells)), bad)
        texts: list[list[Cell]] = []
        for name in fields.texts:
            place = self._picks.get(name)
            texts.append([None] * len(cells) if place is None else list(map(itemgetter(place), cells)))
        times: Sequence[Moment] | None = None
        if columns.times is not None:
            times = list(map(itemgetter(self._picks[columns.times.name]), cells))

        def data(index: int) -> bytes:
            return rows.data[index][:HEAD].encode("utf-8", "surrogateescape")

        return columns.block(numbers, texts, times, bad, self._origin, rows.places, data)

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        header = "" if self._header is None else json.dumps([self._repeated, *self._header])
        return {**super().dump(), **self._rows.dump(), "header": header, "repeated": self.repeated_headers}

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""
        super().load(state)
        self._rows.load(state)
        self.repeated_headers, self._header = int(state["repeated"]), None
        if state["header"]:
            self._repeated, *names = json.loads(str(state["header"]))
            self._take_header(names)
