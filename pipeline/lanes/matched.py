"""Labels that come among records, and which record each is of."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

from .waiting import Answer, Waiting

__all__ = ["Labels", "Matched"]


class Matched:
    """Records and the labels that are theirs, in the order in which they came, and what they let go.

    So many records ``came``, and of labels ``came_labels``, some of which may be nobody's.
    """

    def __init__(self) -> None:
        self.came = self.came_labels = 0
        self.rows: list[int] = []  # of their keys
        self.records: list[int] = []  # which of them are records,
        self.slots: list[int] = []  # and the slots of these
        self.labels: list[int] = []  # which are labels,
        self.of: list[int] = []  # the slots of their records,
        self.answers: list[Answer] = []  # and what they say
        self.gone: list[int] = []  # slots that were let go,
        self.at: list[int] = []  # and by which item

    def record(self, row: int, slot: int, gone: list[int]) -> None:
        """A record has come; of others `gone` were let go to make room."""
        self.records.append(len(self.rows))
        self.slots.append(slot)
        self._add(row, gone)

    def label(self, slot: int, answer: Answer, waiting: Waiting) -> None:
        """The label of the record in `slot` is there."""
        self.labels.append(len(self.rows))
        self.of.append(slot)
        self.answers.append(answer)
        self._add(waiting.row(slot), waiting.match(slot))

    def _add(self, row: int, gone: list[int]) -> None:
        self.at += [len(self.rows)] * len(gone)
        self.gone += gone
        self.rows.append(row)


@dataclass
class Labels:
    """Labels that come among records: how many of these have come before each (``at``), ids, and what they say."""

    at: list[int]
    ids: list[str]
    answers: list[Answer]

    def __bool__(self) -> bool:
        return bool(self.at)

    def put_back(self, taken: Labels, count: int, start: int) -> None:
        """Of those that were `taken`, counted from `start`, put back all but the first `count`."""
        self.at[:0] = [at + start for at in taken.at[count:]]
        self.ids[:0], self.answers[:0] = taken.ids[count:], taken.answers[count:]

    def before(self, record: int) -> bool:
        """Whether some come before this record."""
        return bool(self.at) and self.at[0] <= record

    def take(self, start: int, stop: int, *, behind: bool = True) -> Labels:
        """Take out those before the record `stop`, and those `behind` the one before it too; count from `start`."""
        count = (bisect_right if behind else bisect_left)(self.at, stop)
        found = Labels([at - start for at in self.at[:count]], self.ids[:count], self.answers[:count])
        for part in (self.at, self.ids, self.answers):
            del part[:count]
        return found
