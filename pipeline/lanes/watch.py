"""The watch over records: what looks wrong with the data is said once, in a line of plain English.

Nothing is changed here. What is said is a function of the records and of their order, not of how they come in blocks:
they are looked at in windows by record number, when a window is full. Only which names of fields are new is known no
better than by block.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part
from ..decoding.block import Block
from ..decoding.fields import Fields
from ..decoding.values import shown

__all__ = ["RecordWatch"]

SHORT = 500  # records of a window for what is missing, and for what stays the same
LONG = 2 * SHORT  # records of a window for values that recur far outside;
EACH, SOME = 20, 4  # so many of these windows are looked at, then one in four
OFTEN = 5  # times that such a value comes in a window
FAR = 8  # how many times as far from the median as seven eighths of the values
WIDE = 3  # and as the farthest of those that are nearer, without others such
ALONE = 2 / 3  # of its distance from the median, in which there is no other value
MOST_VALUES = 3  # such values that are named of a field
STUCK = 5000  # records
MANY_KEYS = MANY_LABELS = 1000
MOST_NAMES = 1000  # that are remembered
MOST_LISTED = 5


COUNTED = ("absent", "no_text", "seen", "came", "keys_said", "labels_said")


class RecordWatch:
    """Looks at records of `fields`, and lets `say` know:

    - A field that is suddenly missing: in more than half of a window of 500 records, and in 40 of 100 records more than
      in all those before, which are at least 500. Undeclared fields that are new since then may be its new name.
    - A number that may stand for no value: in a window of 1,000 records, later in one of four, it came at least 5
      times, more than 8 times as far from the median as seven eighths of the values are, 3 times as far as all that are
      nearer, and with no other within two thirds of its distance. One that only came or only went, as at a change of
      unit, is none. Up to 3 such values of a field.
    - A number that has had one value in 5,000 records, in whole windows of 500. One that mostly had one value before,
      as a flag or rain has, is let be; so is one that has only ever been 0, or only 1, as flags of rare events are.
    - A field that none of the first 1,000 records has, or none of all where there are fewer, where they have others.
    - Keys that nearly all have a single record.
    - Records and labels that come later, a thousand of each, none of which has found another.

    Where answers come later, by an id, records are not looked at for them.
    """

    def __init__(self, fields: Fields, say: Callable[[str], None]) -> None:
        self.records = 0  # so far
        self._say, self._key = say, fields.key
        declared = fields.all
        self._declared = declared | {name.partition(".")[0] for name in declared}
        fields = fields if fields.id is None else fields.without_answers()
        label = () if fields.label is None else (fields.label,)
        self._fields = (*fields.numbers, *fields.categories, *label)
        self._numbers = [_Number(shown(name)) for name in fields.numbers]
        self._values = np.zeros((len(self._numbers), LONG))  # of the window
        self._absent = [0] * len(self._fields)  # records before this window of 500 without the field
        self._no_text = [0] * (len(self._fields) - len(self._numbers))  # those in it, of categories and labels
        self._jumped: set[str] = set()
        self._seen: Sequence[str] = ()
        self._came: dict[str, tuple[int, int]] = {}  # of each name the records before and after the block it came with
        self._id, self._keys_said, self._labels_said = fields.id, False, False

    @property
    def missing(self) -> dict[str, float]:
        """The share of all records so far in which each declared feature, target or label is missing, by its name."""
        end = self.records % LONG
        rest = self._without_number(end - end % SHORT, end) + self._no_text
        counts = [before + now for before, now in zip(self._absent, rest, strict=True)]
        return {name: count / max(self.records, 1) for name, count in zip(self._fields, counts, strict=True)}

    def meet(self, seen: Sequence[str], records: int, before: int = 0) -> None:
        """So many `records` come at once, behind those `before`; `seen` are names of fields there are by their end."""
        if seen != self._seen:
            self._seen = list(seen)
            for name in seen:
                if name not in self._came and len(self._came) < MOST_NAMES:
                    self._came[name] = self.records - before, self.records + records

    def look(self, block: Block) -> None:
        """These records have been accepted."""
        texts = block.categories
        if block.labels is not None and block.ids is None:
            texts = [*texts, block.labels]
        numbers = block.numbers[:, : len(self._numbers)]
        start = 0
        while start < block.size:
            place = self.records % LONG
            stop = min(block.size, start + SHORT - place % SHORT)
            end = place + stop - start
            self._values[:, place:end] = numbers[start:stop].T
            for index, column in enumerate(texts):
                self._no_text[index] += column[start:stop].count(None)
            self.records += stop - start
            start = stop
            if end % SHORT == 0:
                self._look_at_gaps(end)
            if end == LONG and (self.records <= EACH * LONG or self.records % (SOME * LONG) == 0):
                self._look_at_values()
            if self.records == LONG:
                self._look_for_fields()

    def end(self) -> None:
        """There are no more records."""
        if 0 < self.records < LONG:
            self._look_for_fields()

    def keys(self, known: int, single: int) -> None:
        """There have been so many keys, `known`, of which so many, `single`, have had one record by now."""
        if self._key is not None and not self._keys_said and known >= MANY_KEYS and 10 * single > 9 * known:
            self._keys_said = True
            what = f"{_percent(single, known)} of them with a single record"
            self._say(f"{known:,} keys so far, {what}: is --key {shown(self._key)} right?")

    def labels(self, records: int, labels: int, least: int = MANY_LABELS) -> None:
        """So many records have waited for labels, and labels for records, and none has ever found another."""
        if self._id is not None and not self._labels_said and min(records, labels) >= least:
            self._labels_said = True
            what = f"{labels:,} labels and {records:,} records have waited, and none has found another"
            self._say(f"{what}: is --id {shown(self._id)} right, for both?")

    def dump(self) -> Part:
        """What has been seen, and what has been said."""
        about: dict[str, Any] = {name: getattr(self, f"_{name}") for name in COUNTED}
        about |= {"records": self.records, "jumped": sorted(self._jumped)}
        about["numbers"] = [number.dump() for number in self._numbers]
        return Part({"values": self._values.copy()}, copy.deepcopy(about))

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        about = copy.deepcopy(part.about)
        self._values = part.array("values", self._values.shape, self._values.dtype).copy()
        for name in COUNTED:
            setattr(self, f"_{name}", about[name])
        self.records, self._jumped = check_count("records", about["records"], 0), set(about["jumped"])
        for number, state in zip(self._numbers, about["numbers"], strict=True):
            number.load(state)

    def _without_number(self, start: int, end: int) -> list[int]:
        """How many of these records of the window have no value, of each number."""
        return [int(np.count_nonzero(row)) for row in np.isnan(self._values[:, start:end])]

    def _look_for_fields(self) -> None:
        """Say of each field whose name has not been seen that there is none."""
        others = [name for name in self._seen if name not in self._declared]
        for field, share in self.missing.items():
            if share == 1 and others and not {field, field.partition(".")[0]} & {*self._seen}:
                what = f"in none of the first {self.records:,} records; other fields there are: {_listed(others)}"
                self._say(f"{shown(field)}: {what} (is that its name?)")

    def _look_at_gaps(self, end: int) -> None:
        """The window of 500 records is full, at `end` of the one of 1,000."""
        numbers, before = self._without_number(end - SHORT, end), self.records - SHORT
        for index, now in enumerate(numbers + self._no_text):
            past = self._absent[index]
            self._absent[index] += now
            jumps = 2 * now > SHORT <= before and 10 * (now * before - past * SHORT) >= 4 * SHORT * before
            if jumps and self._fields[index] not in self._jumped:
                self._say_jump(self._fields[index], now, past, before)
        self._no_text = [0] * len(self._no_text)
        window = self._values[:, end - SHORT : end]
        ends = window[:, :: SHORT - 1].tolist()  # the first and the last of each
        for number, row, (first, last), absent in zip(self._numbers, window, ends, numbers, strict=True):
            if absent == SHORT:
                number.has_none()
            else:
                number.has(_only_value(row) if first == last or absent else None, absent == 0)
            if number.is_stuck:
                number.said_stuck = True
                which = f"{STUCK:,} records" + ("" if number.whole else " that have one")
                self._say(f"{number.name}: {_exact(number.value)} in all of the last {which} (a stuck sensor?)")

    def _say_jump(self, field: str, now: int, past: int, before: int) -> None:
        self._jumped.add(field)
        since = before - SHORT  # a name that is new may have come towards the end of the window before
        came = {name: start for name, (start, end) in self._came.items() if end > since and name not in self._declared}
        names, what = [name for name, start in came.items() if start], "fields that were not there before"
        if not names:  # of those in the first block nobody knows when
            names, what = list(came), "other fields there are"
        shares = f"missing in {_percent(now, SHORT)} of the last {SHORT} records, {_percent(past, before)} before"
        self._say(f"{shown(field)}: {shares}" + (f"; {what}: {_listed(names)} (was it renamed?)" if names else ""))

    def _look_at_values(self) -> None:
        """The window of 1,000 records is full."""
        for number, values, row in zip(self._numbers, self._values, np.sort(self._values, axis=1), strict=True):
            n = int(row.searchsorted(np.inf)) if math.isnan(row.item(-1)) else LONG  # NaN stands behind
            if n < 8 * OFTEN:
                continue
            low, middle, high = row.item(n // 8), row.item(n // 2), row.item(n - 1 - n // 8)
            if number.run * SHORT < LONG:
                number.flat += low == high
                number.lively += low != high
            reach = FAR * max(middle - low, high - middle)  # at most that of seven eighths, and cheap
            if max(middle - row.item(0), row.item(n - 1) - middle) > reach and len(number.strange) < MOST_VALUES:
                self._look_outside(number, row[:n], values, reach)

    @np.errstate(over="ignore")
    def _look_outside(self, number: _Number, row: Array, values: Array, reach: float) -> None:
        """`row` are the `values` of the window in order, without those that are missing; look beyond `reach`."""
        n, inner = len(row), len(row) - 1 - len(row) // 8
        median = row.item(n // 2)
        low, high = int(row.searchsorted(median - reach)), int(row.searchsorted(median + reach, "right"))
        if high - low > inner and not reach:  # seven eighths are the median
            return
        counts = Counter([*row[:low].tolist(), *row[high:].tolist()])
        often = [value for value, count in counts.items() if count >= OFTEN]
        if number.strange.issuperset(often):
            return
        away = np.abs(row - median)
        reach = FAR * float(np.partition(away, inner)[inner])
        often = [value for value in often if 0 < reach < abs(value - median)]
        body = ~np.isin(row, often)
        for value in sorted({*often} - number.strange, key=lambda value: (-counts[value], abs(value - median), value)):
            others = row[body & (away < abs(value - median))]
            far = abs(value - median) >= WIDE * max(median - others.item(0), others.item(-1) - median)
            if not far or not _is_alone(value, row) or not _comes_and_goes(value, values):
                continue
            if len(number.strange) == MOST_VALUES:
                return
            number.strange.add(value)
            what = f"{_exact(value)} came {counts[value]} times in the last {LONG:,} records"
            where = f"far from all others ({_short(others.item(0))} to {_short(others.item(-1))})"
            self._say(f"{number.name}: {what}, {where}; --missing={_exact(value)} says that it stands for no value")


class _Number:
    """What is known of a field that is a number."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.value = math.nan  # the only one in the last windows of 500
        self.run, self.whole = 0, True  # how many of these there are, and whether each of their records has it
        self.varied = self.said_stuck = False
        self.flat = self.lively = 0  # windows of 1,000 before these with mostly one value, and others
        self.strange: set[float] = set()  # values that have been named

    def dump(self) -> dict[str, Any]:
        """All of it, as JSON."""
        value = None if math.isnan(self.value) else self.value
        return {**vars(self), "value": value, "strange": sorted(self.strange)}

    def load(self, state: dict[str, Any]) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        if state.keys() != vars(self).keys() or state["name"] != self.name:
            raise ArgumentError("state", f"what is known of {self.name}", state.get("name"))
        value = math.nan if state["value"] is None else state["value"]
        vars(self).update({**state, "value": value, "strange": set(state["strange"])})

    @property
    def is_stuck(self) -> bool:
        """Whether that is to be said."""
        if self.said_stuck or self.run * SHORT < STUCK:
            return False
        return self.lively >= max(self.flat, 1) if self.varied else self.value not in (0, 1)

    def has(self, value: float | None, whole: bool) -> None:
        """A window has this value alone, or with None several; `whole` if no record is without."""
        if value == self.value:
            self.run, self.whole = self.run + 1, whole and self.whole if self.run else whole
            return
        self.has_none()
        self.varied = self.varied or value is None or not math.isnan(self.value)
        self.value, self.run, self.whole = (math.nan, 0, True) if value is None else (value, 1, whole)

    def has_none(self) -> None:
        """A window has no value."""
        self.flat += self.run * SHORT // LONG
        self.run = 0


def _only_value(row: Array) -> float | None:
    """The value that all of `row` are that are not NaN; None if they differ."""
    if len({value for value in row[:8].tolist() if value == value}) > 1:  # nearly always
        return None
    present = row[~np.isnan(row)]
    first = present.item(0)
    return None if np.count_nonzero(present != first) else first


def _is_alone(value: float, row: Array) -> bool:
    """Whether no other value of `row`, which is in order, is near, compared to the distance of `value` from most."""
    start, end = int(row.searchsorted(value)), int(row.searchsorted(value, "right"))
    near = ALONE * abs(value - row.item(len(row) // 2))
    return (start == 0 or value - row.item(start - 1) >= near) and (end == len(row) or row.item(end) - value >= near)


def _comes_and_goes(value: float, values: Array) -> bool:
    """Whether `value` gives way to others and others to it, among all `values` that are not NaN."""
    there = values[~np.isnan(values)] == value
    return int(np.count_nonzero(there[1:] != there[:-1])) > 1


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names[:MOST_LISTED])) + ", …" * (len(names) > MOST_LISTED)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part // whole}%"


def _exact(value: float) -> str:
    return repr(value).removesuffix(".0")


def _short(value: float) -> str:
    text = f"{value:.4g}"
    return f"{value:.0f}" if "e+" in text and abs(value) < 1e15 else text
