"""Columns of cells to blocks: the part that is the same in every format of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import accumulate
from typing import TypeVar

import numpy as np

from ...core.base.parameters import Array
from .block import Block, Reject
from .fields import Fields
from .options import RecordOptions
from .times import Moment, Times
from .values import Cell, TextCache, Values, are_keys, key_text, shown

__all__ = ["HEAD", "Columns", "concatenate", "none_of", "part_of", "piece_of", "select", "with_reject"]

HEAD = 500  # bytes of a rejected record that are kept
MOST_NAMED = 10  # fields in a reason

Text = TypeVar("Text", str, "str | None")


class Columns:
    """Makes blocks of `fields` of the columns that a format has read, by the rules for values."""

    def __init__(self, fields: Fields, options: RecordOptions) -> None:
        self.fields = fields
        self.values = Values(options.missing, options.decimal)
        self.times = None if fields.time is None else Times(fields.time, options.time_format, options.decimal)
        self._categories = [TextCache(name, self.values.text) for name in fields.categories]
        self._label = None if fields.label is None else TextCache(fields.label, self.values.text)
        self._keys = None if fields.key is None else TextCache(fields.key, key_text, are_keys)
        self._ids = None if fields.id is None else TextCache(fields.id, partial(key_text, what="id"), are_keys)

    @property
    def zero(self) -> bool:
        """Whether the whole number 0 was among the texts of the last block."""
        caches = (*self._categories, self._label, self._keys, self._ids)
        return any(cache is not None and cache.zero for cache in caches)

    def block(
        self,
        numbers: Array,
        texts: list[list[Cell]],
        times: Sequence[Moment] | None,
        bad: dict[int, str],
        origin: str,
        places: Sequence[int],
        data: Callable[[int], bytes],
    ) -> Block:
        """The block of n rows.

        `numbers` ``(n, F)`` by `Fields.numbers`, finite or NaN; it is changed. `texts` are the columns of
        `Fields.texts`. `bad` has the reasons against rows, by their index. `places` are the numbers of the rows in
        their source, and `data` has the row of an index.
        """
        self.values.clean(numbers)
        texts = list(texts)
        ids = self._ids.column(texts.pop(), bad) if self._ids is not None else None
        names = texts.pop() if self._keys is not None else []
        labels = self._label.column(texts.pop(), bad) if self._label is not None else None
        categories = [cache.column(cells, bad) for cache, cells in zip(self._categories, texts, strict=True)]
        answer = None if ids is None else self._answers(numbers, categories, labels)
        if answer is not None and answer.any() and self._keys is not None:
            names = ["-" if alone else name for name, alone in zip(names, answer.tolist(), strict=True)]
        keys = self._keys.column(names, bad) if self._keys is not None else None
        seconds = None if self.times is None or times is None else self._seconds(times, answer, bad)
        size = len(numbers)
        block = Block(size, numbers, categories, labels, keys, seconds, [], ids, answer)  # type: ignore[arg-type]
        if not bad:
            return block
        good = np.ones(size, bool)
        good[list(bad)] = False
        before = np.cumsum(good).tolist()
        rejects = [
            Reject(before[index], origin, places[index], bad[index], data(index)[:HEAD]) for index in sorted(bad)
        ]
        return select(block, np.flatnonzero(good))._replace(rejects=rejects)

    def _seconds(self, times: Sequence[Moment], answer: Array | None, bad: dict[int, str]) -> Array:
        assert self.times is not None
        if answer is None or not answer.any():
            return self.times.column(times, bad)
        reasons: dict[int, str] = {}
        seconds = self.times.column(times, reasons)
        for index, reason in reasons.items():
            if not answer[index]:
                bad.setdefault(index, reason)
        return seconds

    def _answers(self, numbers: Array, categories: list[list[str | None]], labels: list[str | None] | None) -> Array:
        """Which of these records are answers alone: they have nothing else that is declared."""
        fields, n = self.fields, len(numbers)
        inputs = len(fields.inputs)
        if not fields.answers:
            return np.zeros(n, bool)
        found: Array = np.asarray(np.isnan(numbers[:, :inputs]).all(axis=1))
        for texts in categories:
            found &= np.array([text is None for text in texts], bool)
        if inputs or categories:  # or there are no others
            known = ~np.isnan(numbers[:, inputs:]).all(axis=1)
            found &= known if labels is None else np.array([text is not None for text in labels], bool)
        return found

    def empty(self) -> Block:
        """A block without records."""
        texts: list[list[Cell]] = [[] for _ in self.fields.texts]
        return self.block(np.empty((0, len(self.fields.numbers))), texts, [], {}, "", [], lambda _: b"")


def concatenate(blocks: Iterable[Block]) -> Block:
    """The records of at least one block, of one schema, in their order."""
    parts = [*blocks]
    parts = [part for part in parts if part.size or part.rejects] or parts[:1]
    first = parts[0]
    if len(parts) == 1:
        return first
    starts = [0, *accumulate(part.size for part in parts)]
    return Block(
        starts[-1],
        np.concatenate([part.numbers for part in parts]),
        [[text for part in parts for text in part.categories[index]] for index in range(len(first.categories))],
        None if first.labels is None else [text for part in parts for text in part.labels or ()],
        None if first.keys is None else [text for part in parts for text in part.keys or ()],
        None if first.times is None else np.concatenate([part.times for part in parts if part.times is not None]),
        [
            reject._replace(before=reject.before + start)
            for start, part in zip(starts, parts, strict=False)
            for reject in part.rejects
        ],
        None if first.ids is None else [text for part in parts for text in part.ids or ()],
        None if first.answer is None else np.concatenate([part.answer for part in parts if part.answer is not None]),
    )


def part_of(block: Block, start: int, stop: int) -> Block:
    """The records from `start` to before `stop`, without what was rejected."""
    if start == 0 and stop == block.size:
        return block
    return select(block, slice(start, stop))


def piece_of(block: Block, start: int, stop: int) -> Block:
    """The same, with the rejects that came before each of these records."""
    rejects = [
        reject._replace(before=reject.before - start) for reject in block.rejects if start <= reject.before < stop
    ]
    part = part_of(block, start, stop)
    return part._replace(rejects=rejects) if rejects or part.rejects else part


def select(block: Block, rows: slice | Array) -> Block:
    """These records, without what was rejected."""
    numbers, categories = block.numbers[rows], [_picked(texts, rows) for texts in block.categories]
    return Block(
        len(numbers),
        numbers,
        categories,
        None if block.labels is None else _picked(block.labels, rows),
        None if block.keys is None else _picked(block.keys, rows),
        None if block.times is None else block.times[rows],
        [],
        None if block.ids is None else _picked(block.ids, rows),
        None if block.answer is None else block.answer[rows],
        block.came,
    )


def _picked(texts: list[Text], rows: slice | Array) -> list[Text]:
    return texts[rows] if isinstance(rows, slice) else [texts[row] for row in rows.tolist()]


def with_reject(block: Block, origin: str, line: int, reason: str, data: bytes) -> Block:
    """`block`, and behind it a record that cannot be used."""
    return block._replace(rejects=[*block.rejects, Reject(block.size, origin, line, reason, data[:HEAD])])


def none_of(names: Iterable[str]) -> str:
    """The reason against a record that has none of the declared fields, but those of `names`."""
    there = [shown(name) for name in names]
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return f"none of the declared fields; it has: {', '.join(there[:MOST_NAMED]) or 'no fields'}{more}"
