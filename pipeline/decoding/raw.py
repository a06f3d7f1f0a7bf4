"""Raw blocks: records of a fixed number of bytes, as NumPy lays them out."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ..sources.source import Chunk, SourceError
from .block import Block
from .columns import Columns, concatenate, with_reject
from .fields import Fields
from .inflate import Inflater
from .options import RecordOptions
from .values import Cell, shown

__all__ = ["RawBlocks", "parse_dtype"]

NOTATION = "fields with their types, as x:f4,k:i8,name:S16"
FIELD = re.compile(r"(?s)(.+):([<>=|]?)([fiu][1248]|S[0-9]{1,4})")


def parse_dtype(text: str) -> np.dtype:
    """The type of records that `text` is: ``name:type`` with commas between, without padding.

    Types are those of NumPy: ``f2 f4 f8``, ``i1 … i8``, ``u1 … u8``, and ``S16`` for 16 bytes of UTF-8 that may end in
    zeros. Bytes are in little order, unless ``>`` stands before the type. Raises ArgumentError.
    """
    fields: list[tuple[str, str]] = []
    for part in text.split(","):
        found = FIELD.fullmatch(part.strip())
        if found is None or found[3] in ("f1", "S0"):
            raise ArgumentError("dtype", NOTATION, repr(text))
        order = ">" if found[2] == ">" else "<"
        if found[1] in dict(fields):
            raise ArgumentError("dtype", "each field once", found[1])
        fields.append((found[1], found[3] if found[3][0] == "S" else order + found[3]))
    return np.dtype(fields)


class RawBlocks:
    """A `Decoder` of raw blocks, whose layout is ``options.dtype``, as `parse_dtype` has it.

    In a number, NaN is missing, and infinity is rejected. A key, category or label is an integer or bytes. The fields
    that are declared must be there. Raises ArgumentError.
    """

    def __init__(self, fields: Fields, options: RecordOptions | None = None) -> None:
        self.options = RecordOptions() if options is None else options
        if self.options.dtype is None:
            raise ArgumentError("dtype", NOTATION, "none, which raw blocks need")
        self.dtype = parse_dtype(self.options.dtype)
        self._columns, self._inflater = Columns(fields, self.options), Inflater()
        self._origin, self._partial, self._record = "", b"", 1
        self._error: SourceError | None = None  # behind what has come out
        names = self.seen
        times = self._columns.times
        self._texts = fields.texts
        for name in (*fields.required, *fields.answers, *([times.name] if times else [])):
            if name not in names:
                if name in fields.answers and not self.options.answers:
                    continue
                raise ArgumentError("dtype", f"a field {shown(name)}", self.options.dtype)
            if name in self._texts and self.dtype[name].kind == "f":
                raise ArgumentError("dtype", f"{shown(name)} as an integer or bytes", self.options.dtype)
        for name in fields.numbers:
            if name in names and self.dtype[name].kind == "S":
                raise ArgumentError("dtype", f"{shown(name)} as a number", self.options.dtype)

    @property
    def seen(self) -> list[str]:
        """The names of the fields."""
        return list(self.dtype.names or ())

    @property
    def begins_again(self) -> bool:
        """See `LineDecoder`."""
        return self._inflater.begins_again

    @property
    def is_long(self) -> bool:
        """See `RecordDecoder`: never."""
        return False

    def feed(self, chunk: Chunk) -> Block:
        """See `Decoder`."""
        self._origin = chunk.origin
        if self._error is not None:
            raise self._error
        times = self._columns.times
        if times is not None and self.dtype[times.name].kind == "f" and self.dtype[times.name].itemsize < 8:
            step = "128 s" if self.dtype[times.name].itemsize == 4 else "more than that"
            self._error = SourceError(
                f"{self._origin}: {shown(times.name)}: expected a time as f8 or an integer, got "
                f"f{self.dtype[times.name].itemsize}, whose resolution at seconds since 1970 is {step}"
            )
            raise self._error
        blocks: list[Block] = []
        try:
            for piece in self._inflater.feed(chunk.data):
                blocks.append(self._split(piece))  # noqa: PERF401 (it may raise)
        except SourceError as error:
            self._error = SourceError(f"{self._origin}: {error}")
            if not any(block.size or block.rejects for block in blocks):
                raise self._error from None
        return concatenate(blocks) if blocks else self._columns.empty()

    def finish(self) -> Block:
        """See `Decoder`. A record of which there are too few bytes is rejected."""
        if self._error is not None:
            raise self._error
        try:
            block = self._split(self._inflater.finish())
        except SourceError as error:
            self._error = SourceError(f"{self._origin}: {error}")
            raise self._error from None
        if self._partial:
            left = self._partial
            reason = f"{len(left)} bytes at the end, where a record has {self.dtype.itemsize} ({self.options.dtype})"
            self._partial = b""
            block = with_reject(block, self._origin, self._record, reason, left)
        return block

    def abandon(self) -> Block:
        """See `RecordDecoder`."""
        return self.finish()

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        partial = self._partial.decode("latin-1")
        return {"origin": self._origin, "partial": partial, "record": self._record, **self._inflater.dump()}

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""
        self._origin, self._record, self._error = str(state["origin"]), int(state["record"]), None
        self._partial = str(state["partial"]).encode("latin-1")
        self._inflater.load(state)

    def _split(self, data: bytes) -> Block:
        data = self._partial + data
        size = len(data) // self.dtype.itemsize
        whole = size * self.dtype.itemsize
        self._partial = data[whole:]
        if not size:
            return self._columns.empty()
        first, self._record = self._record, self._record + size
        return self._block(np.frombuffer(data[:whole], self.dtype), first, data)

    def _block(self, records: Array, first: int, data: bytes) -> Block:
        fields, bad = self._columns.fields, dict[int, str]()
        numbers = np.full((len(records), len(fields.numbers)), np.nan)
        for index, name in enumerate(fields.numbers):
            if name in self.seen:
                with np.errstate(invalid="ignore"):  # of a NaN that signals
                    numbers[:, index] = records[name]
                for row in np.flatnonzero(np.isinf(numbers[:, index])).tolist():
                    bad.setdefault(row, f"{shown(name)}: expected a finite number, got {numbers[row, index]:+}")
                    numbers[row, index] = np.nan
        nothing: list[Cell] = [None] * len(records)
        texts = [_texts(records[name]) if name in self.seen else nothing for name in self._texts]
        times, seconds = self._columns.times, None
        if times is not None:
            column = records[times.name]
            seconds = _texts(column) if column.dtype.kind == "S" else column.tolist()
        size = self.dtype.itemsize

        def begins(index: int) -> bytes:
            return data[index * size : (index + 1) * size]

        places = range(first, first + len(records))
        return self._columns.block(numbers, texts, seconds, bad, self._origin, places, begins)


def _texts(column: Array) -> list[Cell]:
    """The integers, or the texts that the bytes are; those that are no UTF-8 stay recognisable as such."""
    cells: list[Cell] = column.tolist()
    if column.dtype.kind != "S":
        return cells
    return [cell.decode("utf-8", "surrogateescape") for cell in column.tolist()]
