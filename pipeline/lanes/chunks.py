"""Chunks of time steps that are closed, and batches of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.base.table import rows_of
from ...core.model.batch import SequenceBatch
from ...core.online.encoder import Encoder
from .course import Course
from .labels import IGNORED
from .replay_buffer import ReplayBuffer

__all__ = ["BatchMaker", "Chunks", "Closing", "Extent", "Packed", "chunk_before"]

INT64 = np.dtype(np.int64)
KEPT = ("numbers", "rows", "keys")
EXTENT = ("lengths", "fresh", "carry")


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


class Closing(NamedTuple):
    """`n` chunks that are closed, one behind the other: by which record, of which key, with how many keys there are.

    ``rows`` are those of the keys, or ``~row`` for the first chunk of one. ``before`` is which chunk of the same key
    was the last one before, counted from the first of all; −1: none.
    """

    numbers: Array
    rows: Array
    keys: Array
    before: Array


class Extent(NamedTuple):
    """Of `n` chunks: behind which step of its key each ends, and how many ``lengths`` steps it has.

    ``fresh`` of them, the last ones, were in no chunk before. The next chunk of the key begins behind the first
    ``carry`` of them.
    """

    end: Array
    lengths: Array
    fresh: Array
    carry: Array


def chunk_before(index: Array, rows: Array, last: Array) -> Array:
    """Of the chunks `index`, of keys in these `rows`, which chunk of the same key came before.

    `last` is the one before the first of each row, for each, in the order of the rows.
    """
    by_row = np.argsort(rows, kind="stable")
    ordered = rows[by_row]
    same = np.concatenate(([False], ordered[1:] == ordered[:-1]))
    before = np.empty(len(rows), np.int64)
    before[by_row] = np.where(same, np.roll(index[by_row], 1), last[by_row])
    return before


class Chunks(NamedTuple):
    """Closed chunks: their steps ``(n, T, C + F)``, see `Extent`, and when the labels ``(n, T)`` came; 0: unknown."""

    closing: Closing
    steps: Array
    lengths: Array
    fresh: Array
    carry: Array
    came: Array

    @property
    def size(self) -> int:
        """How many they are."""
        return len(self.lengths)

    def behind(self, start: int) -> Chunks:
        """Those from `start` on, in arrays of their own: a view would hold them all."""
        closing = Closing(*[array[start:].copy() for array in self.closing])
        return Chunks(closing, *[array[start:].copy() for array in self[1:]])

    def with_more(self, more: Chunks) -> Chunks:
        """These, and behind them those."""
        if not self.size:
            return more
        closing = Closing(*map(np.concatenate, zip(self.closing, more.closing, strict=True)))
        rest = [np.concatenate(pair) for pair in zip(self[1:], more[1:], strict=True)]
        return Chunks(closing, *rest)

    def dump(self) -> Part:
        """All but when labels came, and what follows from the others."""
        arrays = {name: getattr(self.closing, name).copy() for name in KEPT}
        return Part(arrays | {name: getattr(self, name).copy() for name in ("steps", *EXTENT)}, {})

    def loaded(self, part: Part, keys: int, made: int) -> Chunks:
        """Chunks like these, which may be none, that `dump` gave, of so many `keys`, behind so many that were `made`.

        Raises ArgumentError.
        """
        n = len(part.array("rows", ("n",), INT64))
        numbers, rows, of_keys = (part.array(name, (n,), INT64) for name in KEPT)
        before = chunk_before(made + np.arange(n), rows_of(rows), np.full(n, -1))
        closing = Closing(numbers, rows, of_keys, before)
        steps = part.array("steps", (n, *self.steps.shape[1:]), self.steps.dtype)
        lengths, fresh, carry = (part.array(name, (n,), INT64) for name in EXTENT)
        rows = rows_of(rows)
        fits = (rows >= 0) & (rows < keys) & (fresh > 0) & (fresh <= lengths) & (lengths <= steps.shape[1])
        if not np.all(fits & (carry >= 0) & (carry <= lengths)):
            raise ArgumentError("chunks", f"up to {steps.shape[1]} steps of rows below {keys}", "others")
        return Chunks(closing, steps, lengths, fresh, carry, np.broadcast_to(0.0, (n, self.steps.shape[1])))


class _Arrays(NamedTuple):
    """Of chunks the inputs ``(T, n, I)`` and the targets; and how many steps there are before each.

    Those that were in no chunk before are counted beside, and the labels of these.
    """

    chunks: Chunks
    inputs: Array
    targets: Array
    came: Array | None  # (n, T)
    steps_up_to: list[int]
    fresh_up_to: list[int]
    labels_up_to: list[int]


def _sums(count: Array) -> list[int]:
    return [0, *np.cumsum(count).tolist()]


class BatchMaker:
    """Makes batches of chunks of `seq_len` steps, for models of `dtype` in so many `shards`.

    Where there is a `buffer`, its windows are further lanes, which begin from zeros, in rows from `spare` on.
    """

    def __init__(
        self,
        encoder: Encoder,
        seq_len: int,
        dtype: np.dtype,
        shards: int,
        spare: int,
        buffer: ReplayBuffer | None,
    ) -> None:
        self._encoder, self._seq_len, self._dtype, self._shards = encoder, seq_len, dtype, shards
        self._spare, self._buffer = spare, buffer
        self._is_class = encoder.schema.label is not None
        self._width = len(encoder.schema.targets) or 1
        self._unknown = IGNORED if self._is_class else np.nan

    def shorten(self, steps: Array, gone: Array) -> None:
        """Leave out the steps ``(n, T)`` that are `gone`."""
        steps[gone, : -self._width] = 0
        steps[gone, -self._width :] = self._unknown

    def arrays(self, chunks: Chunks, *, live: bool) -> _Arrays:
        """What batches of `chunks` are made of; it is known when labels came where they are `live`."""
        steps, old = chunks.steps, chunks.lengths - chunks.fresh
        if old.any():
            steps = steps.copy()
            steps[np.arange(self._seq_len) < old[:, None], -self._width :] = self._unknown
        inputs, targets = self._read(steps)
        labelled = targets != IGNORED if self._is_class else ~np.isnan(targets).all(axis=2)
        came = np.where(labelled.T, chunks.came, 0) if live else None
        counts = chunks.lengths, chunks.fresh, np.count_nonzero(labelled, axis=0)
        return _Arrays(chunks, inputs, targets, came, *map(_sums, counts))

    def _read(self, steps: Array) -> tuple[Array, Array]:
        """The inputs ``(T, n, I)`` and the targets of `steps` ``(n, T, C + F)``."""
        steps = steps.transpose(1, 0, 2)
        targets = steps[..., -self._width :]
        targets = targets[:, :, 0].astype(np.int64) if self._is_class else targets.astype(self._dtype)
        return self._encoder.expand(steps[..., : -self._width], self._dtype), targets

    def make(
        self, arrays: _Arrays, start: int, end: int, at: int, number: int, classes: int, course: Course | None
    ) -> Packed:
        """Batch `at` of the chunks from `start` to `end`, made by the record `number`; so many `classes` were known."""
        own = slice(start, end)
        chunks, came, up_to = arrays.chunks, arrays.came, (arrays.steps_up_to, arrays.fresh_up_to, arrays.labels_up_to)
        steps, fresh, labelled = (counts[end] - counts[start] for counts in up_to)
        short, shared = steps < self._seq_len * (end - start), np.any(chunks.carry[own] < chunks.lengths[own])
        batch = SequenceBatch(
            arrays.inputs[:, own],
            arrays.targets[:, own],
            False,
            chunks.lengths[own] if short else None,
            chunks.closing.rows[own],
            classes,
            chunks.carry[own] if shared else None,
        )
        if self._buffer is not None:
            batch = self._with_stored(self._buffer.draw(at), batch)
            self._buffer.store(chunks.steps[own][chunks.lengths[own] == self._seq_len])
        if self._shards > 1:
            assert batch.rows is not None
            by_shard = np.argsort(rows_of(batch.rows) % self._shards, kind="stable")
            batch = batch.lanes(by_shard)
            came = None if came is None else came[own][by_shard[by_shard < end - start]]
        elif came is not None:
            came = came[own]
        return Packed(number, batch, labelled, fresh - labelled, course, came)

    def _with_stored(self, windows: Array, live: SequenceBatch) -> SequenceBatch:
        """The lanes that are `live`, and behind them `windows` ``(n, T, C + F)`` of the past."""
        if not len(windows):
            return live
        inputs, targets = self._read(windows)
        whole, rows = np.full(len(windows), self._seq_len), ~(self._spare + np.arange(len(windows)))
        more: dict[str, Array] = {"inputs": inputs, "targets": targets, "lengths": whole, "rows": rows, "carry": whole}
        joined: dict[str, Any] = {
            name: np.concatenate((part, other), axis=min(part.ndim - 1, 1))
            for name, other in more.items()
            if (part := getattr(live, name)) is not None
        }
        return live._replace(**joined)
