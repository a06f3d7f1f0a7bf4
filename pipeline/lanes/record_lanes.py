"""The lanes of records: from blocks of records to forecasts that are to be made, and batches that are to be trained on.

What comes out, in which order, is a function of the records, of their order, and of the decisions that were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from ...core.base.parameters import Array
from ...core.online.encoder import Encoder
from ..decoding.block import Block
from ..decoding.columns import part_of
from .decisions import CUT, EXPIRE, GIVE_UP, Decision, DecisionLog
from .key_table import NOBODY, KeyTable, Located
from .labels_at_once import LabelsAtOnce
from .labels_later import Labels, LabelsLater
from .live import Arrivals
from .packer import Packed, Packer

__all__ = ["RecordLanes"]

LARGEST = 1 << 14  # records that are taken at once
SLOW = 4  # how many times as rarely as all keys on average one may come before its chunks are closed short


class RecordLanes:
    """Takes blocks of records, and gives what is to be done: `Arrivals`, if it `forecasts`, and `Packed` batches.

    The `table` knows the keys, the `packer` makes batches. Every `patience` records, the chunks are closed short that
    have waited as long, and four times as long as it takes to fill one where all keys come equally often. `log` takes
    the decisions. `on_leave` is told of the rows of keys that go, and how many of their records were never labelled.
    Where `waiting` is given, labels come later, and so many records wait for them.
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
        waiting: int | None = None,
    ) -> None:
        self.encoder, self.table, self.packer, self.log = encoder, table, packer, log or DecisionLog()
        self._taker: LabelsAtOnce | LabelsLater
        self.later: LabelsLater | None = None
        if waiting is None:
            self._taker = LabelsAtOnce(encoder, packer, table.capacity, max_gap=max_gap, forecasts=forecasts)
        else:
            self._taker = self.later = LabelsLater(encoder, packer, table.capacity, waiting, forecasts=forecasts)
        self._patience, self._on_leave = patience, on_leave
        self.names: list[str] = []  # the keys by their rows
        self.keys = self.seen = 0  # keys that there are, and that there have ever been
        self.evicted = self.expired = 0  # keys that had to go, for want of room or because they had no records
        self._single = 0  # of them, those that have gone after a single record

    @property
    def number(self) -> int:
        """How many records have come."""
        return self._taker.number

    @property
    def items(self) -> int:
        """How many records have come, and labels by themselves; decisions are numbered by them."""
        return self._taker.items

    @property
    def late(self) -> int:
        """How many records had a time before that of the last one of their key."""
        return self._taker.late

    def add(self, block: Block) -> Iterator[Arrivals | Packed]:
        """What the records of `block` bring about."""
        start = 0
        while start < block.size:
            for decision in self.log.due(self.items):
                yield from self._decide(decision)
            end, next_one = block.size, self.log.next()
            if next_one is not None:
                end = min(end, start + next_one - self.items)
            part, labels = part_of(block, start, end), None
            if self.later is not None:
                part, labels = self.later.divide(part)
            yield from self.place(part, self.table.locate(part.keys, part.size) if part.size else (), labels)
            start = end

    def place(
        self, block: Block, located: Iterable[Located], labels: Labels | None = None
    ) -> Iterator[Arrivals | Packed]:
        """The same, where the keys have been found already, and the `labels` are by themselves."""
        start = 0
        for stop, rows, new, going in located:
            if len(going):
                yield from self._take_labels(block, start, labels)
                yield from self._let_go(going)
                self.evicted += len(going)
            self._meet(rows, new)
            done = 0
            while start < stop:
                end = min(stop, start + LARGEST, start + self._patience - self.number % self._patience)
                due = (self.number + end - start) % self._patience == 0  # before labels that come behind
                among = None if labels is None else labels.take(start, end, behind=not due)
                yield from self._take(part_of(block, start, end), rows[done : done + end - start], among)
                if due:
                    patience = max(self._patience, SLOW * self.packer.seq_len * self.keys)
                    yield from self._cut(self.packer.waiting(self.packer.number - patience))
                done, start = done + end - start, end
        yield from self._take_labels(block, start, labels)

    def _take_labels(self, block: Block, start: int, labels: Labels | None) -> Iterator[Arrivals | Packed]:
        """Those that come before the record `start` of `block`."""
        if labels:
            yield from self._take(part_of(block, start, start), NOBODY, labels.take(start, start))

    def _take(self, block: Block, given: Array, labels: Labels | None) -> Iterator[Arrivals | Packed]:
        keys = self.keys + np.concatenate(([0], np.cumsum(given < 0)))
        self.keys = int(keys[-1])
        if isinstance(self._taker, LabelsAtOnce):
            return self._taker.take(block, given, keys)
        assert labels is not None
        return self._taker.take(block, given, keys, labels)

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
        for decision in self.log.due(self.items):
            yield from self._decide(decision)
        if self.later is not None:
            yield from self.later.give_up(self.items, self.keys)
        yield from self._cut(self.packer.waiting(self.packer.number))

    def cut(self, before: int) -> Iterator[Packed]:
        """Close the open chunks that begin before the record `before` of the packer, because the clock says so."""
        yield from self._decide(Decision(self.items, CUT, before))

    def expire(self, before: int) -> Iterator[Packed]:
        """Let the keys go that had no record since before the record `before`, because the clock says so."""
        yield from self._decide(Decision(self.items, EXPIRE, before))

    def give_up(self, before: int) -> Iterator[Packed]:
        """Wait no longer for the labels of what came before the item `before`, because the clock says so."""
        yield from self._decide(Decision(self.items, GIVE_UP, before))

    def _decide(self, decision: Decision) -> Iterator[Packed]:
        if decision.kind == CUT:
            rows = self.packer.waiting(decision.before)
            if len(rows):
                self.log.note(decision)
                yield from self._cut(rows)
        elif decision.kind == GIVE_UP:
            if self.later is not None and self.later.waiting.older(decision.before):
                self.log.note(decision)
                yield from self.later.give_up(decision.before, self.keys)
        else:
            rows = self.table.idle(decision.before)
            if len(rows):
                self.log.note(decision)
                yield from self._let_go(rows)
                self.table.free(rows)
                self.expired += len(rows)

    def _cut(self, rows: Array) -> Iterator[Packed]:
        for packed in self.packer.cut(rows):
            yield packed._replace(number=self._taker.taken - 1)

    def _let_go(self, rows: Array) -> Iterator[Packed]:
        """Train on what is there of these keys, and forget them."""
        if self.later is not None:
            yield from self.later.release(rows, self.keys)
        yield from self._cut(rows)
        self._single += int(np.count_nonzero(self.packer.count[rows] == 1))
        left = self.packer.leave(rows)
        if self._on_leave is not None:
            self._on_leave(rows, left)
        self.keys -= len(rows)
