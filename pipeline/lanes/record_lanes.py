"""The lanes of records: from blocks of records to forecasts that are to be made, and batches that are to be trained on.

What comes out, in which order, is a function of the records, of their order, and of the decisions that were taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from ...core.base.checks import check_count
from ...core.base.parameters import Array
from ...core.base.state import Part, text_arrays, texts_in
from ...core.base.table import rows_of
from ...core.online.encoder import Encoder
from ..decoding.block import Block
from ..decoding.columns import part_of, piece_of
from .chunks import Packed
from .decisions import CUT, EXPIRE, GIVE_UP, Decision, DecisionLog
from .key_table import FREE, NEVER, NOBODY, KeyTable, Located
from .labels_at_once import LabelsAtOnce
from .labels_later import LabelsLater
from .live import Arrivals
from .packer import Packer
from .supposed import Supposed

__all__ = ["Piece", "RecordLanes"]

LARGEST, LEAST = 1 << 14, 64  # records that are taken at once
MOST_ASKED = 4096  # keys whose rows are remembered
COUNTS = ("keys", "seen", "evicted", "expired")
SLOW = 4  # how many times as rarely as all keys on average one may come before its chunks are closed short


class Piece(NamedTuple):
    """What comes about at once: by the records and labels of ``block``, if that is what it is, its ``items``.

    Between two pieces, and when all items of one have been taken, what is here is that of the records so far.
    """

    block: Block | None
    items: Iterator[Arrivals | Packed]


class RecordLanes:
    """Takes blocks of records, and gives what is to be done: `Arrivals`, if it `forecasts`, and `Packed` batches.

    The `table` knows the keys, the `packer` makes batches. Every `patience` records, the chunks are closed short that
    have waited as long, and four times as long as it takes to fill one where all keys come equally often. `log` takes
    the decisions. `on_leave` is told of the rows of keys that go, and how many of their records were never labelled.
    Where `waiting` is given, labels come later, and so many records wait for them.

    Where ``due`` is set, a piece ends with the record that makes the batch which is the packer's `due`-th, from 1.
    """

    def __init__(
        self,
        encoder: Encoder,
        table: KeyTable,
        packer: Packer,
        *,
        patience: int,
        max_gap: float | None = None,
        season: float | None = None,
        forecasts: bool = True,
        log: DecisionLog | None = None,
        on_leave: Callable[[Array, int], None] | None = None,
        waiting: int | None = None,
    ) -> None:
        self.encoder, self.table, self.packer, self.log = encoder, table, packer, log or DecisionLog()
        self._taker: LabelsAtOnce | LabelsLater
        self.later: LabelsLater | None = None
        if waiting is None:
            how: dict[str, Any] = {"max_gap": max_gap, "season": season, "forecasts": forecasts}
            self._taker = LabelsAtOnce(encoder, packer, table.capacity, **how)
        else:
            self._taker = self.later = LabelsLater(encoder, packer, table.capacity, waiting, forecasts=forecasts)
        self._patience, self._on_leave = patience, on_leave
        self.due: int | None = None
        self.names: list[str] = []  # the keys by their rows
        self._asked: dict[str, int] = {}  # rows of those that were asked for
        self.most = LARGEST  # records that are taken at once
        self._used = np.full(table.capacity, NEVER)  # the last record of the key in each row, or what it is to a table
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
        return chain.from_iterable(piece.items for piece in self.pieces(block))

    def pieces(self, block: Block, located: Iterable[Located] | None = None) -> Iterator[Piece]:
        """The same piece by piece; the keys may have been found already. Take all of a piece before the next."""
        if located is not None:
            yield from self._place(block, 0, located)
        start = 0 if located is None else block.size
        while start < block.size:
            for decision in self.log.due(self.items):
                yield Piece(None, self._decide(decision))
            end, next_one = block.size, self.log.next()
            if next_one is not None:
                end = min(end, start + next_one - self.items)
            if self.later is not None:
                end = min(end, start + LARGEST)
                yield from self._place_with_labels(self.later, piece_of(block, start, end))
            else:
                whole = block.keys is None or end - start == block.size
                keys = block.keys if whole or block.keys is None else block.keys[start:end]
                yield from self._place(block, start, self.table.locate(keys, end - start))
            start = end
        if behind := [reject._replace(before=0) for reject in block.rejects if reject.before == block.size]:
            yield Piece(part_of(block, block.size, block.size)._replace(rejects=behind), iter(()))

    def _place(self, block: Block, begin: int, located: Iterable[Located]) -> Iterator[Piece]:
        """Those of the records from `begin` on whose keys have been found."""
        assert isinstance(self._taker, LabelsAtOnce)
        start = begin
        for stop, rows, new, going in located:
            if len(going):
                yield Piece(None, self._evict(going))
            done = met = 0
            while start < begin + stop:
                end = min(begin + stop, start + self._at_once())
                given = rows[done : done + end - start]
                keys = self._keys_with(given)
                if (count := self.packer.steady(keys[1:])) < len(given):
                    end, given, keys = start + count, given[:count], keys[: count + 1]
                plan = self._taker.plan(given, keys)
                more = self._batches_until_due()
                if more is not None and len(plan.batches) >= more:
                    count = plan.batches[more - 1][2] + 1 - self.packer.number
                    if count < len(given):
                        end, given, keys = start + count, given[:count], keys[: count + 1]
                        plan = self._taker.plan(given, keys)
                fresh = int(keys[-1]) - self.keys
                self._meet(given, new[met : met + fresh])
                self.keys, met = int(keys[-1]), met + fresh
                part = piece_of(block, start, end)
                yield Piece(part, self._take(self._taker.take(part, given, plan), given))
                done, start = done + end - start, end

    def _take(self, items: Iterator[Arrivals | Packed], given: Array) -> Iterator[Arrivals | Packed]:
        """The `items` of records of the keys in the rows `given`, and from time to time of what has waited."""
        count = len(given)
        self._used[rows_of(given)] = np.arange(self.number, self.number + count)  # of several, the last
        due = (self.number + count) % self._patience == 0
        yield from items
        if due:
            yield from self._cut_old()

    def _cut_old(self) -> Iterator[Packed]:
        patience = max(self._patience, SLOW * self.packer.seq_len * self.keys)
        return self._cut(self.packer.waiting(self.packer.number - patience))

    def _place_with_labels(self, later: LabelsLater, block: Block) -> Iterator[Piece]:
        """Those of records and labels."""
        records, labels = later.divide(block)
        place = start = 0  # items, and records, that have been taken

        def stretch(end: int, rows: Array, new: list[str], *, behind: bool = True) -> Piece:
            """With the records up to this one, in these rows, and the labels before it; fewer where a batch is due."""
            nonlocal place, start
            among, keys = labels.take(start, end, behind=behind), self._keys_with(rows)
            part = part_of(records, start, end)
            items = later.match(part, rows, keys, among, self._batches_until_due())
            labels.put_back(among, items.came_labels, start)
            part, rows, keys = part_of(part, 0, items.came), rows[: items.came], keys[: items.came + 1]
            piece = piece_of(block, place, place + items.came + items.came_labels)
            place, start = place + items.came + items.came_labels, start + items.came
            met = int(keys[-1]) - self.keys
            self._meet(rows, new[:met])
            del new[:met]
            self.keys = int(keys[-1])
            taken = later.take(part, rows, keys, items)
            return Piece(piece, self._take(taken, rows) if len(rows) else taken)

        for stop, rows, new, going in self.table.locate(records.keys, records.size) if records.size else ():
            if len(going):
                while labels.before(start):
                    yield stretch(start, NOBODY, [])
                yield Piece(None, self._evict(going))
            first, new = start, [*new]
            while start < stop:
                end = min(stop, start + self._at_once())
                cuts = (self.number + end - start) % self._patience == 0  # before labels that come behind
                yield stretch(end, rows[start - first : end - first], new, behind=not cuts)
        while labels:
            yield stretch(records.size, NOBODY, [])

    def suppose(self, block: Block) -> tuple[Supposed, Array]:
        """What the records of `block` would be if they came next, and the rows of their keys, −1 of a new one.

        Between two pieces.
        """
        keys = [""] * block.size if block.keys is None else block.keys
        names = dict.fromkeys(keys)
        places = {name: place for place, name in enumerate(names)}
        rows = np.array([self.row_of(name) for name in names], np.int64)
        return self._taker.suppose(block, rows, np.array([places[key] for key in keys], np.int64)), rows

    def row_of(self, key: str) -> int:
        """The row of this key, −1 where there is no such key now."""
        row = self._asked.get(key, -1)
        if row < 0 or self.names[row] != key or self._used[row] < 0:
            row = next((row for row, name in enumerate(self.names) if name == key and self._used[row] >= 0), -1)
            if len(self._asked) >= MOST_ASKED:
                self._asked.clear()
            self._asked[key] = row
        return row

    def _at_once(self) -> int:
        """How many records are taken at once: up to where open chunks are cut, and not far behind the end of a piece.

        What is behind a batch that ends a piece is looked at again.
        """
        most = min(self.most, self._patience - self.number % self._patience)
        more = self._batches_until_due()
        return most if more is None else min(most, self.packer.stride.records_of(more, self.keys) + LEAST)

    def _batches_until_due(self) -> int | None:
        """How many batches there are to be until a piece ends; None where it need not."""
        left = 0 if self.due is None else self.due - self.packer.batches
        return left if left > 0 else None

    def _keys_with(self, given: Array) -> Array:
        """How many keys there were before the records of these rows, and with each."""
        found: Array = self.keys + np.concatenate(([0], np.cumsum(given < 0)))
        return found

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

    def _evict(self, rows: Array) -> Iterator[Packed]:
        """There is no room for the keys in these rows any more."""
        yield from self._let_go(rows)
        self.evicted += len(rows)

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
        self._used[rows] = FREE

    def dump(self) -> Part:
        """What is kept of all keys; between two pieces."""
        rows = len(self.names)
        arrays = text_arrays(self.names) | {"used": self._used[:rows].copy()}
        parts = Part.of(packer=self.packer.dump(rows), taker=self._taker.dump(rows))
        about = {name: getattr(self, name) for name in COUNTS} | {"single": self._single}
        return Part(arrays | parts.arrays, about | parts.about)

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        names = texts_in(part)
        rows, used = len(names), part.array("used", (len(names),), np.dtype(np.int64))
        self.packer.load(part.part("packer"), rows)
        self._taker.load(part.part("taker"), rows)
        self.table.load(names, used.tolist(), self.number)
        self.names[:], self._used[:rows] = names, used
        for name in COUNTS:
            setattr(self, name, check_count(name, part.about.get(name), 0))
        self._single = check_count("single", part.about.get("single"), 0)
