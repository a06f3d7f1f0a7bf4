"""The times of records: text or numbers in, seconds since 1970 UTC out.

A text is a date ``YYYY-MM-DD`` alone or with a time behind ``T``, ``t`` or a space: ``HH``, ``HH:MM`` or ``HH:MM:SS``,
decimals of any number behind ``.`` or ``,``, and an offset ``Z``, ``z``, ``±HH``, ``±HHMM`` or ``±HH:MM``. Without an
offset it is UTC. A second 60 is the next minute's first, 24:00 the next day's 00:00. Numbers, also as texts, are
seconds since 1970, or what the unit behind the field's name says: ``t:ms``, ``t:us``, ``t:ns``. These forms are the
same on every Python; others are for `datetime.strptime`. A time lies in 1970–2100.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from .values import PLAIN, Malformed, number_text, quoted, shown

__all__ = ["Moment", "Times", "split_unit"]

Moment = str | float | date | np.datetime64 | None
"""A time as a format or a program gives it; None where there is none."""

UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
CALLED = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
END = 4_102_444_800.0  # 2100-01-01
DAY = 86_400
YEAR = 31_556_952
EPOCH = date(1970, 1, 1).toordinal()
ISO = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2})(?::([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]++))?)?)?"
    r"(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
MOST_CACHED = 1024


def split_unit(name: str) -> tuple[str, str]:
    """The field and the unit that `name` is: ``"t:ms"`` is t in milliseconds, ``"t"`` t in seconds."""
    field, colon, unit = name.rpartition(":")
    return (field, unit) if colon and field and unit in UNITS else (name, "s")


class Times:
    """The times in the field that `name` names, with its unit; with `form`, that of `datetime.strptime`."""

    def __init__(self, name: str, form: str | None = None, decimal: str = ".") -> None:
        self.name, self.unit = split_unit(name)
        self._scale, self._form, self._decimal = UNITS[self.unit], form, decimal
        self._days: dict[str, int] = {}
        if form is not None:
            try:
                datetime.strptime(datetime(2000, 1, 1, tzinfo=UTC).strftime(form), form)
            except ValueError as error:
                raise ArgumentError("time_format", "a format of datetime.strptime", f"{form!r} ({error})") from None

    @property
    def as_text(self) -> bool:
        """Whether a number is text too, because it is read by a format."""
        return self._form is not None

    def column(self, values: Sequence[Moment], bad: dict[int, str]) -> Array:
        """The times ``(n,)``; the reasons why some are none go into `bad`, by their index."""
        seconds = self._numbers(values)
        if seconds is not None:
            return seconds
        seconds = np.zeros(len(values))
        for index, value in enumerate(values):
            try:
                seconds[index] = self.seconds(value)
            except Malformed as reason:
                bad.setdefault(index, str(reason))
        return seconds

    def seconds(self, value: Moment) -> float:
        """The time that `value` is. Raises Malformed."""
        if isinstance(value, date | np.datetime64):
            return self._of_object(value)
        if self._form is not None and isinstance(value, int):
            value = str(value)
        if isinstance(value, str):
            text = value.strip(" \t")
            if text in ("", "NA"):
                raise self._missing()
            if self._form is not None:
                return self._bounded(self._by_form(text), value)
            number = number_text(text.replace(",", ".") if self._decimal == "," else text)
            if number is None:
                return self._bounded(self._iso(text), value)
            return self._bounded(number / self._scale + 0.0, number)
        if value is None or math.isnan(value):
            raise self._missing()
        return self._bounded(value / self._scale + 0.0, value)

    def _of_object(self, value: date | np.datetime64) -> float:
        if str(value) == "NaT":
            raise self._missing()
        if isinstance(value, datetime) and value.tzinfo is not None:
            value = value.astimezone(UTC)
        text = str(value)
        return self._bounded(self._iso(text), text)

    def _numbers(self, values: Sequence[Moment]) -> Array | None:
        """All of them, if all are numbers and in the bounds."""
        if self._form is not None or not values:
            return None
        if isinstance(values[0], str) and not values[0].isdecimal() and number_text(values[0]) is None:
            return None
        if str in set(map(type, values)):
            joined = "".join([value if isinstance(value, str) else "" for value in values])
            if not joined.isascii() or joined.encode().translate(None, PLAIN):
                return None
        try:
            numbers = np.array([float(value) for value in values], np.float64)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
        with np.errstate(invalid="ignore"):  # of a NaN that signals
            seconds = numbers / self._scale + 0.0
        return seconds if ((seconds >= 0) & (seconds < END)).all() else None

    def _iso(self, text: str) -> float:
        found = ISO.fullmatch(text)
        if found is None:
            raise self._unlike(text)
        day, hour, minute, second, decimals, sign, offset_hours, offset_minutes = found.groups()
        total = self._day(day, text)
        if hour is not None:
            hours, minutes, seconds = int(hour), int(minute or 0), int(second or 0)
            whole = hours * 3600 + minutes * 60 + seconds
            if hours > 23 and (whole > DAY or (decimals or "").strip("0")):
                raise self._unlike(text)
            if minutes > 59 or seconds > 60:
                raise self._unlike(text)
            total += whole
            if sign is not None:
                east = int(offset_hours) * 3600 + int(offset_minutes or 0) * 60
                if int(offset_hours) > 23 or int(offset_minutes or 0) > 59:
                    raise self._unlike(text)
                total += east if sign == "-" else -east
        # As the same number written in seconds, so that equal times are equal to the bit.
        return float(f"{total}.{decimals}") if decimals and total >= 0 else float(total)

    def _day(self, text: str, whole: str) -> int:
        found = self._days.get(text)
        if found is None:
            year, month, day = map(int, text.split("-"))
            try:
                found = (date(year, month, day).toordinal() - EPOCH) * DAY
            except ValueError:
                raise self._unlike(whole) from None
            if len(self._days) >= MOST_CACHED:
                self._days.clear()
            self._days[text] = found
        return found

    def _by_form(self, text: str) -> float:
        try:
            moment = datetime.strptime(text, str(self._form))
        except ValueError:
            raise Malformed(f"{shown(self.name)}: expected a time as {self._form}, got {quoted(text)}") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()

    def _bounded(self, seconds: float, value: str | float) -> float:
        if 0 <= seconds < END:
            return seconds
        got = quoted(value) if isinstance(value, str) else f"{value:.17g}"
        hint = ""
        if not isinstance(value, str) and self.unit == "s" and math.isfinite(seconds):
            for unit, called in CALLED.items():
                if END / 100 <= seconds / UNITS[unit] < END:
                    year = 1970 + int(seconds // YEAR)
                    hint = f", which in seconds is the year {year} (--time {shown(self.name)}:{unit} takes {called})"
                    break
        raise Malformed(f"{shown(self.name)}: expected a time in 1970–2100, got {got}{hint}")

    def _missing(self) -> Malformed:
        return Malformed(f"time {shown(self.name)} is missing")

    def _unlike(self, text: str) -> Malformed:
        ways = "ISO 8601, or seconds since 1970; --time-format takes other forms"
        return Malformed(f"{shown(self.name)}: expected a time, got {quoted(text)} ({ways})")
