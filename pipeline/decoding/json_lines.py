"""JSON lines: an object a line, by the rules for values.

Fields are found by their names; one that is written ``a.b`` is ``b`` of the object ``a``, unless there is one of that
very name. Where an object names a field twice, the last one counts. Undeclared fields are skimmed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw

from ...core.base.parameters import Array
from .block import Block
from .columns import none_of
from .fields import Fields
from .json_reasons import reason_against
from .line_decoder import TOO_LONG, LineDecoder
from .lines import Lines
from .options import RecordOptions
from .values import Cell, Malformed, shown

__all__ = ["JsonLines"]

ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
NUMBER, TEXT, TIME = float | None, str | int | None, str | float | None
WHOLE = re.compile(r"-?[0-9]+")
MINUS_ZERO = re.compile(rb"-0\s*[,}]")
UNUSUAL = re.compile(r'[."\\\x00-\x1f\ud800-\udfff]')  # in a name: a way into an object, or what no record type takes
ABSENT, NULL = b"", b"null"
NO_VALUES = {b"{": "an object", b"[": "an array"}

decode_fields: Callable[[bytes], dict[str, bytes]] = msgspec.json.Decoder(dict[str, Raw]).decode  # type: ignore[assignment]
decode_string: Callable[[bytes], str] = msgspec.json.Decoder(str).decode


class JsonLines(LineDecoder):
    """A decoder of JSON lines.

    A line is read into a record of just the declared fields; one that this refuses is looked at field by field, which
    finds what a text is by the rules, or the reason against it. `careful` does that with every line.
    """

    def __init__(self, fields: Fields, options: RecordOptions | None = None, *, careful: bool = False) -> None:
        super().__init__(fields, options)
        times, called = self._columns.times, fields.identifiers
        readers: list[tuple[str, Any, Callable[[str, bytes], object]]] = []
        readers += [(name, NUMBER, self._number) for name in fields.numbers]
        readers += [(name, TEXT, _reader(called.get(name))) for name in fields.texts]
        texts = len(readers)
        readers += [] if times is None else [(times.name, TEXT if times.as_text else TIME, self._time)]
        self._readers = [(name, read) for name, _, read in readers]
        names = [name for name, _ in self._readers]
        self._apart = any(UNUSUAL.search(name) for name in names)
        by_name = not self._apart and len(set(names)) == len(names)
        self._careful = careful or not by_name
        # The attributes have names of our own, so that any text may be the name of a field.
        attributes = [f"f{index}" for index in range(len(names))]
        rename = dict(zip(attributes, names, strict=True)) if by_name else None
        typed = [(attribute, kind, None) for attribute, (_, kind, _) in zip(attributes, readers, strict=True)]
        self._type = msgspec.defstruct("Record", typed, rename=rename, gc=False)
        self._record: Callable[[bytes], Any] = msgspec.json.Decoder(self._type).decode
        unique = {name: f"f{index}" for index, name in enumerate(dict.fromkeys(names))}
        raw = [(attribute, Raw, Raw(ABSENT)) for attribute in unique.values()]
        rename = None if self._apart else {attribute: name for name, attribute in unique.items()}
        self._raw = msgspec.json.Decoder(msgspec.defstruct("Fields", raw, rename=rename, gc=False))
        self._unique = unique
        first = len(fields.numbers)
        self._numbers_of = _picker(attributes[:first])
        self._texts_of = _picker(attributes[first:texts])
        self._times_of = _picker(attributes[texts:])

    def _decode(self, lines: Lines, *, last: bool) -> Block:
        data, bad = lines.lines, dict[int, str]()
        places: Sequence[int] = range(lines.first, lines.first + len(data))
        try:
            if self._careful:
                raise RecursionError
            records = list(map(self._record, data))
        except ERRORS:
            records, data, places, bad = self._one_by_one(lines)
        if not data:
            return self._columns.empty()
        with suppress(*ERRORS):
            self._names.add(decode_fields(data[-1]))
        block = self._block(records, data, places, dict(bad))
        if self._columns.zero:  # is read of -0 too, which is another text
            zeros = {at for column in self._texts_of(records) for at, cell in enumerate(column) if cell == 0}
            for index in zeros:
                if index not in bad and MINUS_ZERO.search(data[index]):
                    records[index] = self._carefully(data[index])
            block = self._block(records, data, places, bad)
        return block

    def _one_by_one(self, lines: Lines) -> tuple[list[Any], list[bytes], list[int], dict[int, str]]:
        """Records, their lines and the numbers of these, with an empty record in the place of each in `bad`."""
        records, data, places = list[Any](), list[bytes](), list[int]()
        bad: dict[int, str] = {}
        for number, line in enumerate(lines.lines, lines.first):
            try:
                record = self._carefully(line) if self._careful else self._record(line)
            except (Malformed, *ERRORS):
                if not line.strip():
                    if number not in lines.long:
                        continue
                    line, record, bad[len(data)] = lines.long[number], self._type(), TOO_LONG
                else:
                    try:
                        record = self._carefully(line)
                    except Malformed as reason:
                        record, bad[len(data)] = self._type(), str(reason)
            records.append(record)
            data.append(line)
            places.append(number)
        return records, data, places, bad

    def _block(self, records: list[Any], data: list[bytes], places: Sequence[int], bad: dict[int, str]) -> Block:
        numbers = np.empty((len(records), len(self._columns.fields.numbers)))
        form, pack = f"{len(records)}d", struct.pack
        for index, column in enumerate(self._numbers_of(records)):
            try:
                numbers[:, index] = np.frombuffer(pack(form, *column))  # takes less than half the time
            except struct.error:  # of None
                numbers[:, index] = column
        texts, times = list(self._texts_of(records)), next(iter(self._times_of(records)), None)
        self._find_strangers(numbers, texts, data, bad)
        return self._columns.block(numbers, texts, times, bad, self._origin, places, data.__getitem__)

    def _find_strangers(self, numbers: Array, texts: list[list[Cell]], data: list[bytes], bad: dict[int, str]) -> None:
        """Put the records into `bad` that have none of the declared fields, not even as null."""
        nothing = np.isnan(numbers[:, 0]) if numbers.size else np.ones(len(data), bool)
        if not nothing.any():
            return
        declared = texts[: len(texts) - len(self._columns.fields.identifiers)]
        for index in np.flatnonzero(nothing & np.isnan(numbers).all(axis=1)).tolist():
            if index in bad or any(column[index] is not None for column in declared):
                continue
            fields = self._fields(data[index])
            if not any(bytes(fields[name]) for name in self._columns.fields.declared):
                names = list(decode_fields(data[index].decode(errors="replace").encode()))
                self._names.add(names)
                bad[index] = none_of(names)

    def _fields(self, line: bytes) -> dict[str, bytes]:
        """The JSON of the declared fields, empty where one is absent."""
        if self._apart:
            inner = {"": decode_fields(line)}
            return {name: _find(inner, "", name) for name in self._unique}
        record = self._raw.decode(line)
        return {name: bytes(getattr(record, attribute)) for name, attribute in self._unique.items()}

    def _carefully(self, line: bytes) -> Any:  # noqa: ANN401 (a type that is made at run time)
        """The record that `line` is. Raises Malformed."""
        try:
            fields = self._fields(line)
        except ERRORS as error:
            raise Malformed(reason_against(line, self._unique, error)) from None
        values = []
        for name, read in self._readers:
            try:
                values.append(None if fields[name] in (ABSENT, NULL) else read(name, fields[name]))
            except UnicodeDecodeError:
                raise Malformed(f"{shown(name)}: expected text in UTF-8") from None
        return self._type(*values)

    def _number(self, name: str, value: bytes) -> float:
        if value.startswith(b'"'):
            return self._columns.values.number(name, decode_string(value))
        if (what := NO_VALUES.get(value[:1])) is not None:
            raise Malformed(f"{shown(name)}: expected a number, got {what}{_dots(name, value)}")
        return self._columns.values.number(name, value.decode(), bare=True)

    def _time(self, name: str, value: bytes) -> str | float:
        if value.startswith(b'"'):
            return decode_string(value)
        if value[:1] in b"{[tf":
            what = NO_VALUES.get(value[:1]) or value.decode()
            raise Malformed(f"{shown(name)}: expected a time, got {what}{_dots(name, value)}")
        times = self._columns.times
        return value.decode() if times is not None and times.as_text else float(value)


def _text(name: str, value: bytes) -> str:
    if value.startswith(b'"'):
        return decode_string(value)
    if (what := NO_VALUES.get(value[:1])) is not None:
        raise Malformed(f"{shown(name)}: expected text, got {what}{_dots(name, value)}")
    return value.decode()


def _reader(what: str | None) -> Callable[[str, bytes], str]:
    return _text if what is None else partial(_name, what=what)


def _name(name: str, value: bytes, what: str) -> str:
    if value.startswith(b'"'):
        return decode_string(value)
    text = value.decode(errors="replace")
    if not WHOLE.fullmatch(text):
        got = NO_VALUES.get(value[:1]) or shown(text)
        raise Malformed(f"{what} {shown(name)}: expected text or a whole number, got {got}{_dots(name, value)}")
    return text


def _dots(name: str, value: bytes) -> str:
    """The way into an object."""
    if not value.startswith(b"{"):
        return ""
    inner = next(iter(decode_fields(value)), "field")
    return f" ({shown(name)}.{shown(inner)} takes what is inside)"


def _find(inner: dict[str, dict[str, bytes]], path: str, name: str) -> bytes:
    """The JSON of the field `name` of the object at `path`: that of this very name, or what is inside of a part.

    `inner` are the objects that are read, by their paths; more are added.
    """
    fields = inner[path]
    if name in fields:
        return bytes(fields[name])
    place = name.rfind(".")
    while place > 0:
        outer = fields.get(name[:place])
        if outer is not None and bytes(outer).startswith(b"{"):
            below = f"{path}{name[:place]}\0"
            if below not in inner:
                inner[below] = decode_fields(outer)
            return _find(inner, below, name[place + 1 :])
        place = name.rfind(".", 0, place)
    return ABSENT


def _picker(attributes: list[str]) -> Callable[[list[Any]], tuple[list[Any], ...]]:
    """What makes columns of `attributes` of a list of records; written out, as it takes a third of the time then."""
    columns = "".join([f"[r.{attribute} for r in records], " for attribute in attributes])
    return eval(f"lambda records: ({columns})")  # type: ignore[no-any-return]
