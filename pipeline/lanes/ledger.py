"""The ledger: what has become of each record that was received."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import NamedTuple

from ...core.base.checks import check_count, check_flag
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.online.learned import Learned
from .chunks import Packed
from .course import Course

__all__ = ["Ledger"]

PARTS = ("applied", "unlabelled", "dropped", "rejected", "waiting")


class _Flying(NamedTuple):
    """A batch on its way: see `Packed`."""

    number: int
    labelled: int
    unlabelled: int
    course: Course | None
    came: Array | None


class Ledger:
    """Counts records: ``received = applied + unlabelled + dropped + rejected``, and those that still ``wait``.

    A record is ``applied`` when a batch with its label has changed the weights, ``unlabelled`` when it has been in one
    without a label, or its key has gone before one came, and ``dropped`` where its batch was never applied.
    """

    def __init__(self) -> None:
        self.received = self.rejected = self.applied = self.unlabelled = self.dropped = 0
        self._sources: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
        self._flying: deque[_Flying] = deque()
        self._last: _Flying | None = None  # the last that was applied,
        self._learned: Learned | None = None  # or what had been learned with it, in an earlier process

    def receive(self, records: int, rejected: int, source: int, labels: int = 0) -> None:
        """So many have come from the source of this number, of which so many cannot be used; and labels of others."""
        self.received += records
        self.rejected += rejected
        came = self._sources[source]
        came[0] += records + labels
        came[1] += rejected

    def of_source(self, source: int) -> dict[str, int]:
        """How many have come from the source of this number, labels by themselves too, and were rejected."""
        return dict(zip(("received", "rejected"), self._sources[source], strict=True))

    @property
    def waiting(self) -> int:
        """Records that nothing has become of yet."""
        return self.received - self.rejected - self.applied - self.unlabelled - self.dropped

    def pack(self, packed: Packed) -> None:
        """A batch is on its way."""
        self._flying.append(_Flying(packed.number, packed.labelled, packed.unlabelled, packed.course, packed.came))

    def apply(self) -> Array | None:
        """The first of those on their way has been applied; when its labels came, if that is known."""
        self._last = packed = self._flying.popleft()
        self.applied += packed.labelled
        self.unlabelled += packed.unlabelled
        return packed.came

    @property
    def learned(self) -> Learned | None:
        """What had been learned of the records with the one that made the last batch applied; None before one is."""
        return self._learned if self._last is None else _learned(self._last)

    def drop(self) -> None:
        """Those on their way will not be applied."""
        self.dropped += sum(packed.labelled + packed.unlabelled for packed in self._flying)
        self._flying.clear()

    def counts(self, *, settled: bool = False) -> dict[str, int]:
        """As in a report; where `settled`, as it will be when those on their way have been applied."""
        found = {"records": self.received, **{name: getattr(self, name) for name in PARTS}}
        for packed in self._flying if settled else ():
            found["applied"] += packed.labelled
            found["unlabelled"] += packed.unlabelled
            found["waiting"] -= packed.labelled + packed.unlabelled
        return found

    def dump(self) -> Part:
        """As it will be when those on their way have been applied."""
        last = self._flying[-1] if self._flying else self._last
        learned = self._learned if last is None else _learned(last)
        counts = self.counts(settled=True)
        del counts["waiting"]  # which follows
        about = {**counts, "sources": {str(index): [*count] for index, count in self._sources.items()}}
        about["learns"] = learned is not None
        return Part.of(about, **({} if learned is None else {"learned": learned.dump()}))

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        about = part.about
        self.received = check_count("records", about["records"], 0)
        for name in PARTS[:-1]:
            setattr(self, name, check_count(name, about[name], 0))
        for index, count in about["sources"].items():
            self._sources[int(index)] = [check_count("sources", each, 0) for each in count]
        self._learned = Learned.of(part.part("learned")) if check_flag("learns", about["learns"]) else None


def _learned(packed: _Flying) -> Learned | None:
    return None if packed.course is None else packed.course.at(packed.number)
