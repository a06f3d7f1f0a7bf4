"""Records that wait for their labels, and labels that wait for their records."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.state import Part, text_arrays, texts_in

__all__ = ["Answer", "Waiting"]

INT64, BOOL = np.dtype(np.int64), np.dtype(np.bool_)

Answer = Sequence[float | str | None]
"""What a label says: the values of the targets, NaN where missing; or a class, None where missing."""


class _Early(NamedTuple):
    """A label that came as the item `number`, before its record."""

    number: int
    answer: Answer


class Waiting:
    """Up to `most` records that wait, by their ids, and as many labels.

    Every record has a *slot*, a small number, from `add` on, until it is let go: when its label has come, or is waited
    for no longer, and when the same is true of all earlier records of its key. What is let go is returned, in order;
    its slot stays as it is until `recycle`.

    Of two labels of a record the first wins. An id that comes again is another record; the one that waited by it is
    given up.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.counts = dict.fromkeys(("received", "matched", "twice", "late", "unmatched"), 0)
        self.gave_up = 0  # records
        self._records: OrderedDict[str, int] = OrderedDict()  # slots
        self._early: OrderedDict[str, _Early] = OrderedDict()
        self._over: OrderedDict[str, tuple[int, bool]] = OrderedDict()  # ids, since when, and if their label came
        self._ids: list[str] = []  # by slot, as the others are
        self._numbers: list[int] = []
        self._rows: list[int] = []
        self._next: list[int] = []  # the next record of the key; −1: none
        self._done: list[bool] = []
        self._ends: dict[int, tuple[int, int]] = {}  # of each row the first slot and the last
        self._free: list[int] = []
        self._gone: list[int] = []
        self._now = 0  # items so far
        self._first = 0  # 1 where the last label that was matched had waited, −1 where its record had

    def report(self) -> dict[str, int]:
        """What has become of the labels that were ``received``.

        So many were ``matched``, came ``twice``, came too ``late``, were ``unmatched`` by a record, or are ``early``
        and wait for one. Of the records, so many are ``waiting``, and ``given_up`` without a label.
        """
        return {**self.counts, "early": len(self._early), "waiting": len(self._records), "given_up": self.gave_up}

    @property
    def lead(self) -> int:
        """1 where labels are far ahead of records, −1 where records are far ahead of labels, else 0.

        Far is more than half of those that may wait. Where that is true of both, as many records have no label, or many
        labels no record, it is the side that was there first when the last two found each other.
        """
        labels, records = len(self._early) > self.most // 2, len(self._records) > self.most // 2
        return self._first if labels and records else labels - records

    @property
    def slots(self) -> int:
        """How many slots there have been."""
        return len(self._ids)

    @property
    def records(self) -> int:
        """How many records are there, those that wait for an earlier one of their key among them."""
        return len(self._ids) - len(self._free) - len(self._gone)

    @property
    def early(self) -> int:
        """How many labels wait for their records."""
        return len(self._early)

    def row(self, slot: int) -> int:
        """The row of the key of the record in `slot`."""
        return self._rows[slot]

    def add(self, id: str, row: int, number: int, *, complete: bool = False) -> tuple[int, Answer | None, list[int]]:
        """A record has come, of the key in `row`, as the item `number`, `complete` where its label is in it.

        Returns its slot, its label if that was there before, and what was let go to make room.
        """
        self._now, gone = number + 1, list[int]()
        if (before := self._records.pop(id, None)) is not None:
            gone += self._give_up(before)
        while self.records >= self.most:
            gone += self._give_up(self._records.popitem(last=False)[1])
        self._over.pop(id, None)
        slot = self._take(id, row, number)
        early = self._early.pop(id, None)
        self._first = self._first if early is None else 1
        if complete:
            self.counts["received"] += 1
            self.counts["twice"] += early is not None
        elif early is None:
            self._records[id] = slot
        return slot, None if early is None else early.answer, gone

    def _take(self, id: str, row: int, number: int) -> int:
        if self._free:
            slot = self._free.pop()
            self._ids[slot], self._numbers[slot], self._rows[slot] = id, number, row
            self._next[slot], self._done[slot] = -1, False
        else:
            slot = len(self._ids)
            self._ids.append(id)
            self._numbers.append(number)
            self._rows.append(row)
            self._next.append(-1)
            self._done.append(False)
        self._append(slot, row)
        return slot

    def _append(self, slot: int, row: int) -> None:
        """The record in `slot` is the last of its key by now."""
        first, last = self._ends.get(row, (slot, slot))
        if last != slot:
            self._next[last] = slot
        self._ends[row] = first, slot

    def find(self, id: str, number: int, answer: Answer) -> int:
        """A label has come, as the item `number`: the slot of its record, −1 where none waits for one."""
        self._now = number + 1
        self.counts["received"] += 1
        slot = self._records.pop(id, -1)
        if slot >= 0:
            self._first = -1
            return slot
        over = self._over.get(id)
        if over is not None:
            self.counts["twice" if over[1] else "late"] += 1
        elif id in self._early:
            self.counts["twice"] += 1
        else:
            if len(self._early) >= self.most:
                self._early.popitem(last=False)
                self.counts["unmatched"] += 1
            self._early[id] = _Early(number, answer)
        return -1

    def match(self, slot: int) -> list[int]:
        """The label of the record in `slot` is there: what is let go."""
        self.counts["matched"] += 1
        return self._end(slot, matched=True)

    def _give_up(self, slot: int) -> list[int]:
        self.gave_up += 1
        return self._end(slot, matched=False)

    def _end(self, slot: int, *, matched: bool) -> list[int]:
        id = self._ids[slot]
        self._over.pop(id, None)
        if len(self._over) >= self.most:
            self._over.popitem(last=False)
        self._over[id] = self._now, matched
        self._done[slot] = True
        row = self._rows[slot]
        first, last = self._ends[row]
        gone: list[int] = []
        while first >= 0 and self._done[first]:
            gone.append(first)
            first = self._next[first]
        if first >= 0:
            self._ends[row] = first, last
        else:
            del self._ends[row]
        self._gone += gone
        return gone

    def older(self, number: int) -> bool:
        """Whether anything waits that came before the item `number`."""
        records, early = next(iter(self._records.values()), None), next(iter(self._early.values()), None)
        return (records is not None and self._numbers[records] < number) or (
            early is not None and early.number < number
        )

    def give_up(self, before: int) -> list[int]:
        """Wait no longer for what came before the item `before`: what is let go."""
        gone: list[int] = []
        while self._records and self._numbers[next(iter(self._records.values()))] < before:
            gone += self._give_up(self._records.popitem(last=False)[1])
        while self._early and next(iter(self._early.values())).number < before:
            self._early.popitem(last=False)
            self.counts["unmatched"] += 1
        while self._over and next(iter(self._over.values()))[0] < before:
            self._over.popitem(last=False)
        return gone

    def leave(self, row: int) -> list[int]:
        """The key in `row` goes: so do its records."""
        gone: list[int] = []
        while (ends := self._ends.get(row)) is not None:
            slot = ends[0]
            self._records.pop(self._ids[slot], None)
            gone += self._give_up(slot)
        return gone

    def recycle(self) -> None:
        """The slots of what was let go are free."""
        self._free += self._gone
        self._gone.clear()

    def live(self) -> list[int]:
        """The slots of the records that are there, in the order in which they came."""
        free = {*self._free, *self._gone}
        return sorted([slot for slot in range(self.slots) if slot not in free], key=self._numbers.__getitem__)

    def dump(self) -> Part:
        """What waits, and what does no longer. Whoever loads it has the `live` slots as 0, 1, 2 …"""
        slots = self.live()
        done = np.array([self._done[slot] for slot in slots], bool)
        records = _ids([self._ids[slot] for slot in slots], [self._numbers[slot] for slot in slots])
        arrays = {"rows": np.array([self._rows[slot] for slot in slots], INT64), "done": done}
        early = _ids(list(self._early), [label.number for label in self._early.values()])
        over = _ids(list(self._over), [number for number, _ in self._over.values()])
        over.arrays["matched"] = np.array([matched for _, matched in self._over.values()], bool)
        answers = [[*label.answer] for label in self._early.values()]
        if answers and all(isinstance(value, float) for answer in answers for value in answer):
            early.arrays["answers"] = np.array(answers)
            answers = []
        about: dict[str, Any] = {"counts": self.counts.copy(), "answers": answers}
        about |= {"gave_up": self.gave_up, "now": self._now, "first": self._first}
        parts = Part.of(about, records=records, early=early, over=over)
        return Part(arrays | parts.arrays, parts.about)

    def load(self, part: Part, keys: int) -> None:
        """Take up what `dump` gave, of so many `keys`. Raises ArgumentError."""
        about = part.about
        self._ids, self._numbers = _loaded(part.part("records"))
        n = len(self._ids)
        self._rows = part.array("rows", (n,), INT64).tolist()
        if n and not 0 <= min(self._rows) <= max(self._rows) < keys:
            raise ArgumentError("rows", f"rows below {keys}", "others")
        self._done = part.array("done", (n,), BOOL).tolist()
        self._records = OrderedDict(
            [(id, slot) for slot, (id, done) in enumerate(zip(self._ids, self._done, strict=True)) if not done]
        )
        self._next, self._ends, self._free, self._gone = [-1] * n, {}, [], []
        for slot, row in enumerate(self._rows):
            self._append(slot, row)
        early, over = part.part("early"), part.part("over")
        ids, numbers = _loaded(early)
        found = (
            early.array("answers", (len(ids), "width"), np.dtype(np.float64)).tolist()
            if early.arrays.get("answers") is not None
            else about["answers"]
        )
        self._early = OrderedDict(zip(ids, map(_Early, numbers, found), strict=True))
        ids, numbers = _loaded(over)
        matched = over.array("matched", (len(ids),), BOOL).tolist()
        self._over = OrderedDict(zip(ids, zip(numbers, matched, strict=True), strict=True))
        self.counts = {name: check_count(name, about["counts"].get(name), 0) for name in self.counts}
        self.gave_up, self._now = (check_count(name, about[name], 0) for name in ("gave_up", "now"))
        self._first = check_count("first", about["first"], -1, 1)


def _ids(ids: list[str], numbers: list[int]) -> Part:
    return Part(text_arrays(ids) | {"numbers": np.array(numbers, INT64)}, {})


def _loaded(part: Part) -> tuple[list[str], list[int]]:
    ids = texts_in(part)
    return ids, part.array("numbers", (len(ids),), INT64).tolist()
