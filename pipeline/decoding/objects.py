"""Records that a program has: mappings, or the columns of a frame, to blocks by the rules for values.

NaN is missing here, as None is, and infinity is rejected. A time may also be a `datetime` or a NumPy datetime64.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from .block import Block
from .columns import Columns, none_of
from .fields import Fields
from .options import RecordOptions
from .times import Moment
from .values import Cell, Malformed, Values, shown

__all__ = ["decode_frame", "decode_objects"]

ABSENT = object()


def decode_objects(
    fields: Fields, items: Iterable[Mapping[str, Any]], options: RecordOptions | None = None, origin: str = "records"
) -> Block:
    """The block of `items`, each a mapping of the names of fields to their values.

    Values are numbers, NumPy's too, texts and None; those of the field ``a.b`` may be inside of that of ``a``.
    """
    columns = Columns(fields, RecordOptions() if options is None else options)
    rows = [*items]
    bad: dict[int, str] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            bad[index] = f"expected a mapping of fields to values, got {type(row).__name__}"
    names = dict.fromkeys((*fields.declared, *fields.identifiers, *_time_of(columns)))
    found = {name: [ABSENT if index in bad else _find(row, name) for index, row in enumerate(rows)] for name in names}
    for index, row in enumerate(rows):
        if index not in bad and all(found[name][index] is ABSENT for name in fields.declared):
            bad[index] = none_of([str(name) for name in row])
    return _block(columns, found, len(rows), bad, origin, lambda index: rows[index])


def decode_frame(
    fields: Fields,
    frame: Any,  # noqa: ANN401 (of any library)
    options: RecordOptions | None = None,
    origin: str = "frame",
) -> Block:
    """The block of the rows of `frame`: a frame of pandas or polars, or a mapping of names to columns.

    The declared columns must be there (the answers only as `RecordOptions.answers` says), and be of one length. Raises
    ArgumentError.
    """
    options = RecordOptions() if options is None else options
    columns = Columns(fields, options)
    there = [str(name) for name in getattr(frame, "columns", frame)]
    needed = (*fields.required, *_time_of(columns))
    found: dict[str, Array] = {}
    for name in dict.fromkeys((*needed, *fields.answers)):
        if name in there:
            column = frame[name]
            found[name] = column.to_numpy() if hasattr(column, "to_numpy") else np.asarray(column)
        elif name in needed or options.answers:
            raise ArgumentError("frame", f"a column {shown(name)}", ", ".join(map(shown, there[:20])) or "none")
    sizes = {len(column) for column in found.values()}
    if len(sizes) > 1 or any(column.ndim != 1 for column in found.values()):
        shapes = ", ".join(f"{shown(name)} {column.shape}" for name, column in found.items())
        raise ArgumentError("frame", "columns of one length", shapes)

    def row(index: int) -> dict[str, Any]:
        return {name: column[index] for name, column in found.items()}

    return _block(columns, found, next(iter(sizes)), {}, origin, row)


def _time_of(columns: Columns) -> tuple[str, ...]:
    return () if columns.times is None else (columns.times.name,)


def _block(
    columns: Columns,
    found: Mapping[str, Any],
    size: int,
    bad: dict[int, str],
    origin: str,
    row: Callable[[int], object],
) -> Block:
    fields, values = columns.fields, columns.values
    numbers = np.full((size, len(fields.numbers)), math.nan)
    for place, name in enumerate(fields.numbers):
        if name in found:
            numbers[:, place] = _numbers(values, name, found[name], bad)
    texts = [
        _cells(name, found.get(name, [None] * size), bad, _reader(fields.identifiers.get(name)))
        for name in fields.texts
    ]
    times = None if columns.times is None else _moments(columns.times.name, found[columns.times.name], bad)

    def data(index: int) -> bytes:
        return repr(row(index)).encode("utf-8", "backslashreplace")

    return columns.block(numbers, texts, times, bad, origin, range(1, size + 1), data)


def _find(row: Mapping[str, Any], name: str) -> object:
    if name in row:
        return row[name]
    place = name.rfind(".")
    while place > 0:
        outer = row.get(name[:place])
        if isinstance(outer, Mapping):
            return _find(outer, name[place + 1 :])
        place = name.rfind(".", 0, place)
    return ABSENT


def _numbers(values: Values, name: str, column: Iterable[object], bad: dict[int, str]) -> Array:
    if isinstance(column, np.ndarray) and column.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):  # of a NaN that signals
            numbers = column.astype(np.float64)
        for index in np.flatnonzero(np.isinf(numbers)).tolist():
            bad.setdefault(index, f"{shown(name)}: expected a finite number, got {numbers[index]}")
            numbers[index] = math.nan
        return numbers
    found = []
    for index, value in enumerate(column):
        try:
            found.append(_number(values, name, value))
        except Malformed as reason:
            bad.setdefault(index, str(reason))
            found.append(math.nan)
    return np.array(found, np.float64)


def _number(values: Values, name: str, value: object) -> float:
    value = _plain(value)
    if value is None:
        return math.nan
    if isinstance(value, str):
        return values.number(name, value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        hint = f" ({shown(name)}:category takes it as a category)" if isinstance(value, bool) else ""
        raise Malformed(f"{shown(name)}: expected a number, got {shown(str(value))}{hint}")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise Malformed(f"{shown(name)}: expected a finite number, got {number}")
    return number


def _cells(name: str, column: Iterable[object], bad: dict[int, str], read: Callable[[str, object], Cell]) -> list[Cell]:
    if isinstance(column, np.ndarray) and column.dtype.kind in "OU":
        column = column.tolist()
    values: list[Any] = [*column]
    if {*map(type, values)} <= {str}:
        return values  # as there mostly are: any reader takes them as they are
    cells: list[Cell] = []
    for index, value in enumerate(values):
        try:
            cells.append(read(name, _plain(value)))
        except Malformed as reason:
            bad.setdefault(index, str(reason))
            cells.append(None)
    return cells


def _text(name: str, value: object) -> Cell:
    if isinstance(value, bool):
        return str(value).lower()  # as JSON has it
    if isinstance(value, float):
        return repr(value)
    if value is None or isinstance(value, str | int):
        return value
    raise Malformed(f"{shown(name)}: expected text, got {shown(str(value))}")


def _reader(what: str | None) -> Callable[[str, object], Cell]:
    return _text if what is None else partial(_name, what=what)


def _name(name: str, value: object, what: str) -> Cell:
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
        raise Malformed(f"{what} {shown(name)}: expected text or a whole number, got {shown(str(value))}")
    return value


def _moments(name: str, column: Iterable[object], bad: dict[int, str]) -> list[Moment]:
    moments: list[Moment] = []
    for index, value in enumerate(column):
        plain = value if isinstance(value, np.datetime64) else _plain(value)
        if isinstance(plain, bool) or not (
            plain is None or isinstance(plain, str | int | float | datetime.date | np.datetime64)
        ):
            bad.setdefault(index, f"{shown(name)}: expected a time, got {shown(str(plain))}")
            plain = None
        moments.append(plain)
    return moments


def _plain(value: object) -> object:
    """Python's own value in the place of a NumPy scalar, and None in the place of what is missing."""
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64):
        value = value.item()
    if (
        value is ABSENT
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, float) and value != value)
    ):
        return None
    return value
