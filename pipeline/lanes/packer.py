"""The packer: chunks of T steps of each key, and batches of up to B of them, by the order of the records alone.

**Chunks.** The records of a key, in their order, are cut into chunks of T. A chunk is closed when the labels of its
last step are there, `horizon` records of the key later.

**Batches.** Closed chunks wait in the order in which they were closed. A batch is made of them

- at B chunks, or at as many as there were keys when its first was closed, where these are fewer;
- when a key closes a chunk that has one in the batch already: that one begins the next batch;
- when B·T records have come since its first chunk was closed;
- at a *cut*, which closes the open chunks of some keys short. The end of the records is one, so is the departure of a
  key, and from time to time those that have waited for too long are cut, see `recurrio.pipeline.lanes.record_lanes`.
  What a clock decides is a cut too, see `recurrio.pipeline.lanes.decisions`.

Here all that is done with arrays, for many records at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...core.base.parameters import Array
from ...core.base.table import rows_of
from ...core.model.batch import SequenceBatch
from ...core.online.encoder import Encoder
from .course import Course
from .labels import IGNORED
from .rings import KeyOrder, Ring

__all__ = ["Packed", "Packer"]

NEVER = 1 << 62
AT_ONCE = 1024  # keys that are cut


class Packed(NamedTuple):
    """A batch, made when the record `number` had come; how many of its steps have a label, and how many have none.

    ``course`` is that of what is learned, which goes on with each record (and with each label that comes later).
    ``came`` is when the labels of its steps came, 0 where there is none, or it is unknown; None where none is known.
    """

    number: int
    batch: SequenceBatch
    labelled: int
    unlabelled: int
    course: Course | None
    came: Array | None = None


class _Chunks(NamedTuple):
    """Closed chunks: the number of the record that closed each, the row of its key, and the keys there were."""

    numbers: Array
    rows: Array
    keys: Array
    steps: Array  # (n, T, C + F)
    lengths: Array
    before: Array  # which chunk of the same key was the last one before, counted from the first of all; −1: none
    came: Array  # (n, T), when the labels came; 0: unknown


class _Arrays(NamedTuple):
    """Of chunks the inputs ``(T, n, I)`` and the targets; and how many steps, and labels, there are before each."""

    inputs: Array
    targets: Array
    came: Array  # (n, T)
    steps_up_to: list[int]
    labels_up_to: list[int]


def _sums(*counts: Array) -> list[list[int]]:
    return [[0, *np.cumsum(count).tolist()] for count in counts]


class Packer:
    """See above. `keys` is the capacity of the table of keys; the state of a key begins from zeros with `begin`."""

    def __init__(
        self,
        encoder: Encoder,
        *,
        seq_len: int,
        batch_size: int,
        keys: int,
        dtype: np.dtype,
        shards: int = 1,
    ) -> None:
        self._encoder, self._dtype, self._shards = encoder, dtype, shards
        self._is_class = encoder.schema.label is not None
        self.seq_len, self.batch_size, self.horizon = seq_len, batch_size, encoder.schema.horizon
        self.bound = batch_size * seq_len
        self._width = len(encoder.schema.targets) or 1
        self.number = 0  # records so far
        self.count = np.zeros(keys, np.int64)  # of them, those of each key
        self._begin = np.zeros(keys, np.int64)  # of these, those in closed chunks
        self._fresh = np.zeros(keys, bool)  # whether its first chunk is still to be closed
        self._since = np.zeros(keys, np.int64)  # the record with which the open chunk got its first label
        self._last = np.full(keys, -1)  # the last chunk of each key
        self.steps = Ring(keys, seq_len + self.horizon, (encoder.compact_size + self._width,), "float32")
        self._came = Ring(keys, self.steps.depth, (), "float64")  # when the labels of these steps did
        self._live = False  # whether that was ever known
        self._first = 0
        self._classes: Array | None = None  # how many there are with each of the last records, from the first on
        self.course: Course | None = None  # of the last records
        self._waiting = self._none()
        self._made = 0  # chunks in batches

    def begin(self, rows: Array) -> None:
        """New keys are in `rows`."""
        self.count[rows] = self._begin[rows] = 0
        self._fresh[rows] = True
        self._last[rows] = -1

    def add(
        self, order: KeyOrder, steps: Array, keys: Array, classes: Array | None = None, came: Array | float = 0
    ) -> Iterator[Packed]:
        """The batches that these records make.

        `steps` are those of `Labelled`, in the order of the keys; `keys` ``(n,)`` is how many keys there were at each
        record, in the order of arrival; and so are `classes`, of a label, of those with it. `came` is when they
        did, or sorted ``(n,)`` when each; 0 where that is not known.
        """
        first = self._first = self.number
        self._classes = classes
        self.number += len(order)
        T, H = self.seq_len, self.horizon
        self._live = self._live or bool(np.any(came))
        if self._live and H:
            at = order.heads(H)
            at = at[order.pos[at] >= H]  # those whose H-th record before is in the ring
            self._came.values[order.rows[at], (order.pos[at] - H) % self._came.depth] = came
        done = order.pos - (H - 1) - self._begin[order.rows]
        place = done % T
        ends = np.flatnonzero((place <= 1) & (done > 0))  # of chunks, and their first steps
        last, some = ends[place[ends] == 0], ends[place[ends] == 1 % T]
        self._since[order.rows[some]] = first + order.index[some]  # of several of a key, the last
        if len(last):
            self._begin[order.rows[last]] = order.pos[last] - (H - 1)  # of several of a key, the last
            last = last[np.argsort(order.index[last])]
            places, rows = order.index[last], order.rows[last]
            window = self.steps.window(order, last, H, T)
            chunks = self.steps.read(window, steps)
            labels = self._came.read(window, came) if self._live else self._unknown(len(last))
            self._close(first + places, rows, keys[places], chunks, np.full(len(last), T), labels)
        kept = self.steps.places(order)
        self.steps.keep(kept, steps)
        if self._live:
            self._came.keep(kept, came)
        self.count[order.keys] += order.sizes
        return self._batches()

    def cut(self, rows: Array) -> Iterator[Packed]:
        """Close the open chunks of the keys in `rows`, in this order, and make a batch of what waits.

        Their last records, whose labels are not there, go on to the next chunk.
        """
        for start in range(0, max(len(rows), 1), AT_ONCE):
            self._close_short(rows[start : start + AT_ONCE])
            yield from self._batches()
        if len(self._waiting.rows):
            yield self._make(len(self._waiting.rows))

    def _close_short(self, rows: Array) -> None:
        number = self.number - 1
        lengths = self.count[rows] - self.horizon - self._begin[rows]
        rows, lengths = rows[lengths > 0], lengths[lengths > 0]
        if not len(rows):
            return
        places = np.arange(self.seq_len)
        at = (self._begin[rows][:, None] + places) % self.steps.depth
        chunks = self.steps.values[rows[:, None], at]
        gone = places >= lengths[:, None]
        came = self._unknown(len(rows))
        if self._live:
            came = np.where(gone, 0, self._came.values[rows[:, None], at])
        chunks[gone, : -self._width] = 0
        chunks[gone, -self._width :] = IGNORED if self._is_class else np.nan
        self._close(np.full(len(rows), number), rows, np.full(len(rows), NEVER), chunks, lengths, came)
        self._begin[rows] += lengths

    def waiting(self, before: int) -> Array:
        """The rows of the keys whose open chunk has had a label since before this record came; the oldest first."""
        rows = np.flatnonzero((self.count - self.horizon > self._begin) & (self._since < before))
        found: Array = rows[np.argsort(self._since[rows], kind="stable")]
        return found

    @property
    def oldest(self) -> int:
        """The number of the record with which an open chunk that has labels got its first one; or the next record."""
        waits = self.count - self.horizon > self._begin
        return int(self._since.min(where=waits, initial=self.number))

    def leave(self, rows: Array) -> int:
        """The keys in `rows` go; how many of their records are in no chunk. Cut them before."""
        left = int((self.count[rows] - self._begin[rows]).sum())
        self.count[rows] = self._begin[rows] = 0
        return left

    @property
    def open_records(self) -> int:
        """How many records are in no batch yet."""
        return int((self.count - self._begin).sum() + self._waiting.lengths.sum())

    def _none(self) -> _Chunks:
        empty, T = np.zeros(0, np.int64), self.seq_len
        steps = np.zeros((0, T, self.steps.values.shape[2]), np.float32)
        return _Chunks(empty, empty, empty, steps, empty, empty, self._unknown(0))

    def _unknown(self, count: int) -> Array:
        return np.broadcast_to(0.0, (count, self.seq_len))

    def _close(self, numbers: Array, rows: Array, keys: Array, steps: Array, lengths: Array, came: Array) -> None:
        """Let these chunks wait, behind those that do."""
        index = self._made + len(self._waiting.rows) + np.arange(len(rows))
        by_row = np.argsort(rows, kind="stable")
        ordered = rows[by_row]
        same = np.concatenate(([False], ordered[1:] == ordered[:-1]))
        before = np.empty(len(rows), np.int64)
        before[by_row] = np.where(same, np.roll(index[by_row], 1), self._last[ordered])
        self._last[rows] = index
        fresh = self._fresh[rows]
        if fresh.any():
            new = np.empty(len(rows), bool)
            new[by_row] = ~same & fresh[by_row]
            self._fresh[rows] = False
            rows = np.where(new, ~rows, rows)
        chunks = _Chunks(numbers, rows, keys, steps, lengths, before, came)
        if len(self._waiting.rows):
            chunks = _Chunks(*map(np.concatenate, zip(self._waiting, chunks, strict=True)))
        self._waiting = chunks

    def _batches(self) -> Iterator[Packed]:
        """The batches that are due after the last record."""
        chunks, number = self._waiting, self.number - 1
        count = len(chunks.rows)
        if not count:
            return
        closed, keys = chunks.numbers.tolist(), chunks.keys.tolist()
        latest = np.maximum.accumulate(chunks.before).tolist()  # of a chunk before, up to each
        made, start = self._made, 0
        packed: list[Packed] = []
        arrays = self._arrays(chunks)
        while start < count:
            due = closed[start] + self.bound
            full = start + min(self.batch_size, keys[start])  # chunks up to there are as many as there may be
            again = bisect_left(latest, made + start, start + 1)  # the first of a key that is in already
            end, decides = (full, full - 1) if full <= again else (again, again)
            if decides < count and closed[decides] <= due:
                at = closed[decides]
            elif number >= due:
                end, at = bisect_left(closed, due + 1, start), due
            else:
                break
            packed.append(self._slice(chunks, arrays, start, end, at))
            start = end
        if start:
            self._drop(start)
        yield from packed

    def _make(self, count: int) -> Packed:
        chunks = self._waiting
        packed = self._slice(chunks, self._arrays(chunks), 0, count, self.number - 1)
        self._drop(count)
        return packed

    def _drop(self, count: int) -> None:
        """The first `count` of the chunks that wait are in batches."""
        self._made += count
        self._waiting = _Chunks(*[array[count:].copy() for array in self._waiting])  # a view would hold them all

    def _arrays(self, chunks: _Chunks) -> _Arrays:
        """What batches of `chunks` are made of."""
        steps = chunks.steps.transpose(1, 0, 2)
        inputs, targets = self._encoder.expand(steps[..., : -self._width], self._dtype), steps[..., -self._width :]
        if self._is_class:
            targets = targets[:, :, 0].astype(np.int64)
            labelled = targets != IGNORED
        else:
            labelled, targets = ~np.isnan(targets).all(axis=2), targets.astype(self._dtype)
        came = np.where(labelled.T, chunks.came, 0) if self._live else chunks.came
        return _Arrays(inputs, targets, came, *_sums(chunks.lengths, np.count_nonzero(labelled, axis=0)))

    def _slice(self, chunks: _Chunks, arrays: _Arrays, start: int, end: int, number: int) -> Packed:
        lanes: slice | Array = slice(start, end)
        rows, lengths = chunks.rows[lanes], chunks.lengths[lanes]
        if self._shards > 1:
            by_shard = np.argsort(rows_of(rows) % self._shards, kind="stable")
            lanes, rows, lengths = start + by_shard, rows[by_shard], lengths[by_shard]
        inputs, targets, came, steps_up_to, labels_up_to = arrays
        steps, labelled = steps_up_to[end] - steps_up_to[start], labels_up_to[end] - labels_up_to[start]
        short = steps < self.seq_len * len(rows)
        classes = 0 if self._classes is None else int(self._classes[number - self._first])
        batch = SequenceBatch(inputs[:, lanes], targets[:, lanes], False, lengths if short else None, rows, classes)
        known = came[lanes] if self._live else None
        return Packed(number, batch, labelled, steps - labelled, self.course, known)
