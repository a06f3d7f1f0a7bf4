"""The ledger: what has become of each record that was received."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import NamedTuple

from ...core.base.parameters import Array
from ...core.online.learned import Learned
from .course import Course
from .packer import Packed

__all__ = ["Ledger"]


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
        self._last: _Flying | None = None  # the last that was applied

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
        last = self._last
        return None if last is None or last.course is None else last.course.at(last.number)

    def drop(self) -> None:
        """Those on their way will not be applied."""
        self.dropped += sum(packed.labelled + packed.unlabelled for packed in self._flying)
        self._flying.clear()

    def counts(self) -> dict[str, int]:
        """As in a report."""
        names = ("applied", "unlabelled", "dropped", "rejected", "waiting")
        return {"records": self.received, **{name: getattr(self, name) for name in names}}
