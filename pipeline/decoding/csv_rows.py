"""Lines of CSV or TSV to rows of cells.

A quoted cell may go over lines, within bounds. A quote that is not closed within them costs its own line: those behind
it are read again. So does one that is closed in a way that gives no row. TSV has no quotes.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from typing import NamedTuple

from .line_decoder import TOO_LONG
from .lines import Lines

__all__ = ["RowReader", "Rows"]

MOST_LINES = 100  # of a row
MOST_BYTES = 1 << 16  # of a row that goes over lines


class Rows(NamedTuple):
    """Rows of `cells`, each with its first line's number in `places` and its text in `data`.

    In the place of a row that is none stands an empty list, and its index in `bad` with the reason.
    """

    cells: list[list[str]]
    places: list[int]
    data: list[str]
    bad: dict[int, str]


class RowReader:
    """Makes rows of lines; the first row says how wide the others are, unless `width` does.

    Texts are UTF-8, with lone surrogates in the place of bytes that are not.
    """

    def __init__(self, delimiter: str, *, quotes: bool, width: int | None = None) -> None:
        self.width = width
        self._delimiter, self._quotes = delimiter, quotes
        self._pending: list[str] = []  # lines of a row whose quote is open, and those behind it
        self._number = 0  # of the first of them
        d = re.escape(delimiter)
        field = rf'(?:"[^"]*+(?:""[^"]*+)*+"|[^"{d}][^{d}]*+|)'
        opened = r'"[^"]*+(?:""[^"]*+)*+\Z'
        inside = r'[^"]*+(?:""[^"]*+)*+'
        self._whole = re.compile(rf"{field}(?:{d}{field})*+\Z", re.DOTALL)
        self._opens = re.compile(rf"(?:{field}{d})*+{opened}", re.DOTALL)
        self._closes = re.compile(rf'{inside}"(?:{d}{field})*+\Z', re.DOTALL)
        self._stays = re.compile(rf'{inside}(?:\Z|"{d}(?:{field}{d})*+{opened})', re.DOTALL)

    def read(self, lines: Lines, *, last: bool) -> Rows:
        """The rows that end in `lines`; with `last`, no lines come behind."""
        if not lines.lines and not last:
            return Rows([], [], [], {})
        text = b"\n".join(lines.lines).decode("utf-8", "surrogateescape")
        texts = text.split("\n") if lines.lines else []
        if self._pending or (self._quotes and '"' in text):
            return self._read_quoted(self._pending + texts, self._number or lines.first, lines.long, last=last)
        if "\r" in text:
            texts = [line.removesuffix("\r") for line in texts]
        cells = [line.split(self._delimiter) for line in texts]
        places = [*range(lines.first, lines.first + len(texts))]
        rows = Rows(cells, places, texts, {})
        if self.width is None:
            return self._sifted(rows, lines.long)
        uniform = len(cells) == 0 or (len(set(map(len, cells))) == 1 and len(cells[0]) == self.width)
        may_be_blank = self.width == 1 or self._delimiter.isspace()
        return rows if uniform and not may_be_blank else self._sifted(rows, lines.long)

    def dump(self) -> Mapping[str, int | str]:
        """What it keeps, as JSON."""
        return {"pending": json.dumps(self._pending), "pending_line": self._number, "width": self.width or 0}

    def load(self, state: Mapping[str, int | str]) -> None:
        """Go on from what `dump` gave."""
        self._pending, self._number = json.loads(str(state["pending"])), int(state["pending_line"])
        self.width = int(state["width"]) or None

    def _sifted(self, rows: Rows, long: Mapping[int, bytes]) -> Rows:
        """Without blank lines, and with the rows that are of a wrong width in `bad`."""
        sifted = Rows([], [], [], {})
        for cells, place, text in zip(rows.cells, rows.places, rows.data, strict=True):
            self._add(sifted, cells, place, text, long)
        return sifted

    def _add(self, rows: Rows, cells: list[str] | str, place: int, text: str, long: Mapping[int, bytes]) -> None:
        """Add a row, or the reason why there is none."""
        if not text.strip():
            if place not in long:
                return
            cells, text = TOO_LONG, long[place].decode("utf-8", "surrogateescape")
        if not isinstance(cells, str):
            if self.width is None:
                self.width = len(cells)
            if len(cells) != self.width:
                cells = f"expected {self.width} columns, got {len(cells)}"
        if isinstance(cells, str):
            rows.bad[len(rows.cells)], cells = cells, []
        rows.cells.append(cells)
        rows.places.append(place)
        rows.data.append(text)

    def _read_quoted(self, texts: list[str], first: int, long: Mapping[int, bytes], *, last: bool) -> Rows:
        rows, index = Rows([], [], [], {}), 0
        self._pending, self._number = [], 0
        while index < len(texts):
            text = texts[index].removesuffix("\r")
            if '"' not in text:
                self._add(rows, text.split(self._delimiter), first + index, text, long)
            elif self._whole.match(text):
                self._add(rows, self._cells(text), first + index, text, long)
            elif not self._opens.match(text):
                self._add(
                    rows,
                    f"text behind a closing quote, where {self._delimiter!r} is expected",
                    first + index,
                    text,
                    long,
                )
            else:
                count = self._ends(texts, first, index, long)
                if count == 0 and not last:
                    self._pending, self._number = texts[index:], first + index
                    break
                joined = "\n".join(texts[index : index + count]).removesuffix("\r")
                cells = self._cells(joined) if count > 0 else "a quote that is not closed"
                if isinstance(cells, list) and self.width in (None, len(cells)):
                    self._add(rows, cells, first + index, joined, long)
                    index += count - 1
                else:
                    self._add(rows, "a quote that is not closed", first + index, text, long)
            index += 1
        return rows

    def _ends(self, texts: list[str], first: int, start: int, long: Mapping[int, bytes]) -> int:
        """How many lines the row at `start` has; 0 if it may end further on, -1 if it cannot end well."""
        size = len(texts[start])
        for index in range(start + 1, len(texts)):
            text = texts[index].removesuffix("\r")
            size += len(text)
            if first + index in long or index - start >= MOST_LINES or size > MOST_BYTES:
                return -1
            if self._closes.match(text):
                return index - start + 1
            if not self._stays.match(text):
                return -1
        return 0

    def _cells(self, text: str) -> list[str] | str:
        """The cells of a whole row, or why there are none."""
        try:
            return next(csv.reader([text], delimiter=self._delimiter, strict=True))
        except (csv.Error, StopIteration) as error:
            return f"malformed CSV: {error}"
