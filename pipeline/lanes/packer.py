"""The packer: chunks of T steps of each key, and batches of up to B of them, by the order of the records alone.

**Chunks.** A chunk of a key is closed every S records, the *stride*: when the label of its last step is there,
`horizon` records of the key later. It has the last T steps of the key that have one, or those there are. Only those
that were in no chunk before are learned from; the others lead up to them. Where S is T, chunks have no steps in common.

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

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from ...core.online.encoder import Encoder
from .chunks import BatchMaker, Chunks, Closing, Extent, Packed, chunk_before
from .course import Course
from .replay_buffer import ReplayBuffer
from .rings import KeyOrder, Ring
from .stride import Stride

__all__ = ["Packer", "Plan"]

NEVER = 1 << 62
AT_ONCE = 1024  # keys that are cut


class Plan(NamedTuple):
    """What records in the `order` of their keys are going to make: see `Packer.plan`.

    The records at ``last`` close chunks, in the order of arrival, and those at ``first`` are the first labelled of
    theirs. ``batches`` are the chunks from where to where, of those that wait by then, and the record that makes each.
    All that is so at this ``stride``.
    """

    order: KeyOrder
    stride: int
    first: Array
    last: Array
    closing: Closing
    extent: Extent
    batches: list[tuple[int, int, int]]


class Packer:
    """See above. `keys` is the capacity of the table of keys; the state of a key begins from zeros after `leave`.

    With a `stride` that is what it is all the time. With `replay`, so many windows that are drawn by `seed` are further
    lanes of each batch, in rows behind those of the keys.
    """

    def __init__(
        self,
        encoder: Encoder,
        *,
        seq_len: int,
        batch_size: int,
        keys: int,
        dtype: np.dtype,
        shards: int = 1,
        stride: int | None = None,
        replay: int = 0,
        seed: int = 0,
    ) -> None:
        self._encoder = encoder
        self.seq_len, self.batch_size, self.horizon = seq_len, batch_size, encoder.schema.horizon
        self.bound = batch_size * seq_len
        self.stride = Stride(seq_len, batch_size, stride)
        columns = encoder.compact_size + (len(encoder.schema.targets) or 1)
        self._buffer = ReplayBuffer(replay, seed, (seq_len, columns)) if replay else None
        self._maker = BatchMaker(encoder, seq_len, dtype, shards, keys, self._buffer)
        self.number = 0  # records so far
        self.batches = 0  # made of them
        self.count = np.zeros(keys, np.int64)  # of the records, those of each key
        self._begin = np.zeros(keys, np.int64)  # of these, those in closed chunks
        self._start = np.zeros(keys, np.int64)  # and those before the open chunk
        self._pace = np.zeros(keys, np.int64)  # how many more the open chunk has when it is full; 0: it is the first
        self._fresh = np.ones(keys, bool)  # whether its first chunk is still to be closed
        self._since = np.zeros(keys, np.int64)  # the record with which the open chunk got its first label
        self._last = np.full(keys, -1)  # the last chunk of each key
        self.steps = Ring(keys, seq_len + self.horizon, (columns,), "float32")
        self._came = Ring(keys, self.steps.depth, (), "float64")  # when the labels of these steps did
        self._live = False  # whether that was ever known
        self._first = 0
        self._classes: Array | None = None  # how many there are with each of the last records, from the first on
        self.course: Course | None = None  # of the last records
        empty = np.zeros(0, np.int64)
        steps = np.zeros((0, seq_len, columns), np.float32)
        self._waiting = Chunks(Closing(empty, empty, empty, empty), steps, empty, empty, empty, self._unknown(0))
        self._made = 0  # chunks in batches

    def steady(self, keys: Array) -> int:
        """How many of the next records have the same stride, where `keys` ``(n,)`` are how many there are with each."""
        return self.stride.steady(keys, self.number)

    def plan(self, order: KeyOrder, keys: Array) -> Plan:
        """What the records that come next will make, which are in this order.

        `keys` ``(n,)`` is how many keys there are at each of them, in the order of arrival; the stride is `steady`.
        """
        stride = self.stride.at(int(keys[0]), self.number) if len(keys) else self.stride.now
        begin, pace = self._begin[order.rows], self._pace[order.rows]
        done = order.pos - (self.horizon - 1) - begin
        over = done - np.where(pace > 0, pace, stride)
        place = over % stride
        first = np.flatnonzero((done == 1) | ((place == 1 % stride) & (over > 0)))
        last = np.flatnonzero((place == 0) & (over >= 0))
        last = last[np.argsort(order.index[last])]
        places = order.index[last]
        closing = self._closing(self.number + places, order.rows[last], keys[places])
        end, fresh = begin[last] + done[last], np.where(over[last] == 0, done[last], stride)
        due = self._due(closing, self.number + len(order) - 1)
        return Plan(order, stride, first, last, closing, self._extent(closing.rows, end, fresh, stride), due)

    def _extent(self, rows: Array, end: Array, fresh: Array, stride: int) -> Extent:
        """That of chunks of the keys in these rows, which `end` behind so many of their steps."""
        open_from = self._start[rows_of(rows)]
        start, following = (np.maximum(open_from, end + more - self.seq_len) for more in (0, stride))
        return Extent(end, end - start, fresh, following - start)

    def add(self, plan: Plan, steps: Array, classes: Array | None = None, came: Array | float = 0) -> Iterator[Packed]:
        """The batches that the records of the `plan` make.

        `steps` are those of `Labelled`, in the order of the keys; `classes` ``(n,)``, of a label, is how many there are
        with each record, in the order of arrival. `came` is when they did, or sorted ``(n,)`` when each; 0 where that
        is not known.
        """
        first, order, last = self.number, plan.order, plan.last
        self.stride.now = plan.stride
        self._first, self._classes = first, classes
        self.number += len(order)
        T, H = self.seq_len, self.horizon
        self._live = self._live or bool(np.any(came))
        if self._live and H:
            at = order.heads(H)
            at = at[order.pos[at] >= H]  # those whose H-th record before is in the ring
            self._came.values[order.rows[at], (order.pos[at] - H) % self._came.depth] = came
        self._since[order.rows[plan.first]] = first + order.index[plan.first]  # of several of a key, the last
        if len(last):
            window = self.steps.window(order, last, H, T, plan.extent.lengths)
            chunks = self.steps.read(window, steps)
            labels = self._came.read(window, came) if self._live else self._unknown(len(last))
            self._close(plan.closing, plan.extent, chunks, labels)
        kept = self.steps.places(order)
        self.steps.keep(kept, steps)
        if self._live:
            self._came.keep(kept, came)
        self.count[order.keys] += order.sizes
        return self._make(plan.batches)

    def cut(self, rows: Array) -> Iterator[Packed]:
        """Close the open chunks of the keys in `rows`, in this order, and make a batch of what waits.

        Their last records, whose labels are not there, go on to the next chunk.
        """
        for start in range(0, max(len(rows), 1), AT_ONCE):
            self._close_short(rows[start : start + AT_ONCE])
            yield from self._make(self._due(None, self.number - 1))
        if count := self._waiting.size:
            yield from self._make([(0, count, self.number - 1)])

    def _close_short(self, rows: Array) -> None:
        fresh = self.count[rows] - self.horizon - self._begin[rows]
        rows, fresh = rows[fresh > 0], fresh[fresh > 0]
        if not len(rows):
            return
        extent = self._extent(rows, self._begin[rows] + fresh, fresh, self.stride.now)
        at = (self._start[rows][:, None] + np.arange(self.seq_len)) % self.steps.depth
        chunks = self.steps.values[rows[:, None], at]
        came = self._came.values[rows[:, None], at] if self._live else self._unknown(len(rows))
        closing = self._closing(np.full(len(rows), self.number - 1), rows, np.full(len(rows), NEVER))
        self._close(closing, extent, chunks, came)

    def _close(self, closing: Closing, extent: Extent, steps: Array, came: Array) -> None:
        """Let these chunks wait; behind their last step is anything."""
        rows = rows_of(closing.rows)  # of several of a key the last one decides
        self._begin[rows] = extent.end
        self._start[rows] = extent.end - extent.lengths + extent.carry
        self._pace[rows] = self.stride.now
        gone = np.arange(self.seq_len) >= extent.lengths[:, None]
        if gone.any():
            self._maker.shorten(steps, gone)
            came = np.where(gone, 0, came)
        self._wait(Chunks(closing, steps, extent.lengths, extent.fresh, extent.carry, came))

    @property
    def waiting_chunks(self) -> Closing:
        """The closed chunks that are in no batch yet."""
        return self._waiting.closing

    def begun(self, row: int) -> tuple[int, int]:
        """How many records of the key in this row are in closed chunks, and how many more the open one has when full.

        The latter is 0 where there is no chunk yet, whose stride is to be that of its last record.
        """
        return int(self._begin[row]), int(self._pace[row])

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
        self.count[rows] = self._begin[rows] = self._start[rows] = self._pace[rows] = 0
        self._fresh[rows], self._last[rows] = True, -1
        return left

    @property
    def open_records(self) -> int:
        """How many records are in no batch yet."""
        return int((self.count - self._begin).sum() + self._waiting.fresh.sum())

    def _unknown(self, count: int) -> Array:
        return np.broadcast_to(0.0, (count, self.seq_len))

    def _closing(self, numbers: Array, rows: Array, keys: Array) -> Closing:
        """Chunks that are closed next, by these records."""
        index = self._made + self._waiting.size + np.arange(len(rows))
        before = chunk_before(index, rows, self._last[rows])
        fresh = self._fresh[rows]
        if fresh.any():
            first = chunk_before(index, rows, np.full(len(rows), -1)) < 0
            rows = np.where(fresh & first, ~rows, rows)
        return Closing(numbers, rows, keys, before)

    def _wait(self, chunks: Chunks) -> None:
        """Let these chunks wait, behind those that do."""
        rows = rows_of(chunks.closing.rows)
        self._last[rows] = self._made + self._waiting.size + np.arange(len(rows))  # of several of a key, the last
        self._fresh[rows] = False
        self._waiting = self._waiting.with_more(chunks)

    def _due(self, closing: Closing | None, number: int) -> list[tuple[int, int, int]]:
        """The batches that are due with the record `number`, where these chunks are closed by then: see `Plan`."""
        waiting = self._waiting.closing
        if closing is not None and len(closing.rows):
            more = zip(waiting, closing, strict=True) if len(waiting.rows) else ((array,) for array in closing)
            waiting = Closing(*[parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in more])
        count = len(waiting.rows)
        if not count:
            return []
        closed, keys = waiting.numbers.tolist(), waiting.keys.tolist()
        latest = np.maximum.accumulate(waiting.before).tolist()  # of a chunk before, up to each
        start, found = 0, list[tuple[int, int, int]]()
        while start < count:
            due = closed[start] + self.bound
            full = start + min(self.batch_size, keys[start])  # chunks up to there are as many as there may be
            again = bisect_left(latest, self._made + start, start + 1)  # the first of a key that is in already
            end, decides = (full, full - 1) if full <= again else (again, again)
            if decides < count and closed[decides] <= due:
                at = closed[decides]
            elif number >= due:
                end, at = bisect_left(closed, due + 1, start), due
            else:
                break
            found.append((start, end, at))
            start = end
        return found

    def _make(self, batches: list[tuple[int, int, int]]) -> Iterator[Packed]:
        """These batches of the chunks that wait, of which they are the first."""
        if not batches:
            return
        arrays, first, course = self._maker.arrays(self._waiting, live=self._live), self.batches, self.course
        known = [0 if self._classes is None else int(self._classes[number - self._first]) for _, _, number in batches]
        end = batches[-1][1]
        self._made += end
        self._waiting = self._waiting.behind(end)
        self.batches += len(batches)
        for at, ((start, end, number), classes) in enumerate(zip(batches, known, strict=True), first):
            yield self._maker.make(arrays, start, end, at, number, classes, course)  # when the one before was taken

    def replay_recent(self, until: int) -> None:
        """Up to before the batch of this number learn again from what was newest alone."""
        if self._buffer is not None:
            self._buffer.recent(until)

    def dump(self, rows: int) -> Part:
        """What it keeps of the first `rows` of the table. When labels came is not written."""
        arrays = {name: table[:rows].copy() for name, table in self._tables().items()}
        arrays["steps"] = self.steps.dump(rows)
        classes = None if self._classes is None else int(self._classes[-1])
        about = {"number": self.number, "batches": self.batches, "made": self._made, "classes": classes}
        about |= {"stride": self.stride.now}
        buffer = {} if self._buffer is None else {"buffer": self._buffer.dump()}
        return Part.of(about, keys=Part(arrays, {}), waiting=self._waiting.dump(), **buffer)

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        about, own = part.about, part.part("keys")
        for name, table in (self._tables() | {"steps": self.steps.values}).items():
            table[:rows] = own.array(name, (rows, *table.shape[1:]), table.dtype)
        if np.any(self._begin[:rows] < 0) or np.any(self._begin[:rows] > self.count[:rows]):
            raise ArgumentError("begin", "no more records in chunks than there are", "others")
        self.number, self.batches, self._made = (
            check_count(name, about.get(name), 0) for name in ("number", "batches", "made")
        )
        self.stride.load(about["stride"])
        if self._buffer is not None:
            self._buffer.load(part.part("buffer"))
        self._waiting = self._waiting.loaded(part.part("waiting"), rows, self._made)
        self._last[rows_of(self._waiting.closing.rows)] = self._made + np.arange(self._waiting.size)
        self._first = self.number - 1
        self._classes = None if about["classes"] is None else np.array([check_count("classes", about["classes"], 0)])

    def _tables(self) -> dict[str, Array]:
        return {
            "count": self.count,
            "begin": self._begin,
            "start": self._start,
            "pace": self._pace,
            "fresh": self._fresh,
            "since": self._since,
        }
