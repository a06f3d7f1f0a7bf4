"""The lanes of records: from blocks of records to forecasts that are to be made, and batches that are to be trained on.

What comes out, in which order, is a function of the records, of their order, and of the decisions that were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ...core.base.parameters import Array
from ...core.base.table import rows_of
from ...core.online.encoder import Encoder
from ..decoding.block import Block
from ..decoding.columns import part_of
from .course import Course
from .decisions import CUT, EXPIRE, Decision, DecisionLog
from .key_table import KeyTable, Located
from .labels import Labelled, Labeller
from .live import Arrivals, Arrived
from .packer import Packed, Packer
from .rings import KeyOrder

__all__ = ["RecordLanes"]

LARGEST = 1 << 14  # records that are taken at once
SLOW = 4  # how many times as rarely as all keys on average one may come before its chunks are closed short


class RecordLanes:
    """Takes blocks of records, and gives what is to be done: `Arrivals`, if it `forecasts`, and `Packed` batches.

    The `table` knows the keys, the `packer` makes batches. Every `patience` records, the chunks are closed short that
    have waited as long, and four times as long as it takes to fill one where all keys come equally often. `log` takes
    the decisions. `on_leave` is told of the rows of keys that go, and how many of their records were never labelled.
    """

    def __init__(
        self,
        encoder: Encoder,
        table: KeyTable,
        packer: Packer,
        *,
        patience: int,
        max_gap: float | None = None,
        forecasts: bool = True,
        log: DecisionLog | None = None,
        on_leave: Callable[[Array, int], None] | None = None,
    ) -> None:
        self.encoder, self.table, self.packer, self.log = encoder, table, packer, log or DecisionLog()
        self._labeller = Labeller(encoder, table.capacity, max_gap)
        self._horizons = [target.horizon for target in encoder.schema.targets] or [0]
        self._patience, self._forecasts, self._on_leave = patience, forecasts, on_leave
        self._classes = encoder.known_classes if encoder.schema.label is not None else 0
        self.number = 0  # records so far
        self.late = 0  # records
        self.names: list[str] = []  # the keys by their rows
        self.keys = self.seen = 0  # keys that there are, and that there have ever been
        self.evicted = self.expired = 0  # keys that had to go, for want of room or because they had no records
        self._single = 0  # of them, those that have gone after a single record

    def add(self, block: Block) -> Iterator[Arrivals | Packed]:
        """What the records of `block` bring about."""
        start = 0
        while start < block.size:
            for decision in self.log.due(self.number):
                yield from self._decide(decision)
            end, next_one = block.size, self.log.next()
            if next_one is not None:
                end = min(end, start + next_one - self.number)
            part = part_of(block, start, end)
            yield from self.place(part, self.table.locate(part.keys, part.size))
            start = end

    def place(self, block: Block, located: Iterable[Located]) -> Iterator[Arrivals | Packed]:
        """The same, where the keys have been found already."""
        start = 0
        for stop, rows, new, going in located:
            if len(going):
                yield from self._let_go(going)
                self.evicted += len(going)
            self._meet(rows, new)
            done = 0
            while start < stop:
                end = min(stop, start + LARGEST, start + self._patience - self.number % self._patience)
                yield from self._take(part_of(block, start, end), rows[done : done + end - start])
                done, start = done + end - start, end
                if self.number % self._patience == 0:
                    patience = max(self._patience, SLOW * self.packer.seq_len * self.keys)
                    yield from self._cut(self.packer.waiting(self.number - patience))

    def _meet(self, rows: Array, new: list[str]) -> None:
        """Keys that are new have been found in these rows."""
        if new:
            for row, name in zip((~rows[rows < 0]).tolist(), new, strict=True):
                self.names += [""] * (row + 1 - len(self.names))
                self.names[row] = name
            self.seen += len(new)

    @property
    def single(self) -> int:
        """How many keys have had a single record by now."""
        return self._single + int(np.count_nonzero(self.packer.count == 1))

    def finish(self) -> Iterator[Packed]:
        """What the end of the records brings about: all open chunks are closed short."""
        for decision in self.log.due(self.number):
            yield from self._decide(decision)
        yield from self._cut(self.packer.waiting(self.number))

    def cut(self, before: int) -> Iterator[Packed]:
        """Close the open chunks that begin before the record `before`, because the clock says so."""
        yield from self._decide(Decision(self.number, CUT, before))

    def expire(self, before: int) -> Iterator[Packed]:
        """Let the keys go that had no record since before the record `before`, because the clock says so."""
        yield from self._decide(Decision(self.number, EXPIRE, before))

    def _decide(self, decision: Decision) -> Iterator[Packed]:
        if decision.kind == CUT:
            rows = self.packer.waiting(decision.before)
            if len(rows):
                self.log.note(decision)
                yield from self._cut(rows)
        else:
            rows = self.table.idle(decision.before)
            if len(rows):
                self.log.note(decision)
                yield from self._let_go(rows)
                self.table.free(rows)
                self.expired += len(rows)

    def _cut(self, rows: Array) -> Iterator[Packed]:
        return self.packer.cut(rows, self.number - 1)

    def _let_go(self, rows: Array) -> Iterator[Packed]:
        """Train on what is there of these keys, and forget them."""
        yield from self._cut(rows)
        self._single += int(np.count_nonzero(self.packer.count[rows] == 1))
        left = self.packer.leave(rows)
        if self._on_leave is not None:
            self._on_leave(rows, left)
        self.keys -= len(rows)

    def _take(self, block: Block, given: Array) -> Iterator[Arrivals | Packed]:
        new = given < 0
        rows = rows_of(given)
        known = self.keys + np.cumsum(new)
        self.keys = int(known[-1])
        if new.any():
            self.packer.begin(rows[new], self.number + np.flatnonzero(new))
        order = KeyOrder(rows, self.packer.count)
        labelled = self._labeller.label(block, given, order, self.packer.steps)
        self.late += labelled.late
        first, n = self.number, block.size
        self.number += n
        classes = self._count_classes(order.by_arrival(labelled.truth))
        self.packer.course = Course(self.encoder, first, labelled, order, classes, self.packer.course)
        arrived = None
        if self._forecasts:
            before = None if classes is None else classes[:-1]
            arrived = self._arrived(first, given, block.times, order, labelled, before)
        done = 0
        after = None if classes is None else classes[1:]
        for packed in self.packer.add(order, first, labelled.steps, known, after):
            stop = packed.number + 1 - first
            if arrived is not None and stop > done:
                yield Arrivals(arrived, done, stop)
                done = stop
            yield packed
        if arrived is not None and done < n:
            yield Arrivals(arrived, done, n)

    def _arrived(
        self,
        first: int,
        given: Array,
        times: Array | None,
        order: KeyOrder,
        labelled: Labelled,
        classes: Array | None,
    ) -> Arrived:
        parts = labelled.steps, labelled.centre, labelled.scale, labelled.naive, labelled.truth
        steps, centre, scale, naive, truth = map(order.by_arrival, parts)
        where = order.by_arrival(order.pos), steps[:, : self.encoder.compact_size], centre, scale, naive, truth
        return Arrived(first, given, times, *where, self._origin(order), classes)

    def _origin(self, order: KeyOrder) -> Array:
        places = np.empty((len(order), len(self._horizons)), np.int64)
        for j, h in enumerate(self._horizons):
            inside = np.flatnonzero(order.rank >= h)
            places[:, j] = -1
            places[inside, j] = order.index[inside - h]
        return order.by_arrival(places)

    def _count_classes(self, truth: Array) -> Array | None:
        """How many classes there were before each record, whose own ``(n, F)`` are in the order of arrival."""
        if self.encoder.schema.label is None:
            return None
        known = np.concatenate(([self._classes], np.nan_to_num(truth[:, 0] + 1))).astype(np.int64)
        np.maximum.accumulate(known, out=known)
        self._classes = int(known[-1])
        return known
