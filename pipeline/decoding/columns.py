"""Columns of cells to blocks: the part that is the same in every format of records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

import numpy as np

from ...core.base.parameters import Array
from ...core.online.schema import Schema
from .block import Block, Reject
from .options import RecordOptions
from .times import Moment, Times
from .values import Cell, TextCache, Values, are_keys, key_text, shown

__all__ = ["HEAD", "Columns", "concatenate", "none_of", "part_of", "with_reject"]

HEAD = 500  # bytes of a rejected record that are kept
MOST_NAMED = 10  # fields in a reason


class Columns:
    """Makes blocks by `schema` of the columns that a format has read, by the rules for values."""

    def __init__(self, schema: Schema, options: RecordOptions) -> None:
        self.schema = schema
        self.values = Values(options.missing, options.decimal)
        self.times = None if schema.time is None else Times(schema.time, options.time_format, options.decimal)
        self._keys = None if schema.key is None else TextCache(schema.key, key_text, are_keys)
        self._categories = [TextCache(name, self.values.text) for name in schema.categories]
        self._label = None if schema.label is None else TextCache(schema.label, self.values.text)

    @property
    def declared(self) -> tuple[str, ...]:
        """The fields that make a record one: features, targets and the label."""
        label = () if self.schema.label is None else (self.schema.label,)
        return tuple(dict.fromkeys((*self.schema.numbers, *self.schema.categories, *label)))

    @property
    def zero(self) -> bool:
        """Whether the whole number 0 was among the texts of the last block."""
        caches = [*self._categories, *(cache for cache in (self._label, self._keys) if cache is not None)]
        return any(cache.zero for cache in caches)

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

        `numbers` ``(n, F)`` by ``schema.numbers``, finite or NaN; it is changed. `texts` are the columns of the
        categories, then that of the label, then that of the key, as the schema has them. `bad` has the reasons against
        rows, by their index. `places` are the numbers of the rows in their source, and `data` has the row of an
        index.
        """
        self.values.clean(numbers)
        texts = list(texts)
        keys = self._keys.column(texts.pop(), bad) if self._keys is not None else None
        seconds = None if self.times is None or times is None else self.times.column(times, bad)
        labels = self._label.column(texts.pop(), bad) if self._label is not None else None
        categories = [cache.column(cells, bad) for cache, cells in zip(self._categories, texts, strict=True)]
        size = len(numbers)
        if not bad:
            return Block(size, numbers, categories, labels, keys, seconds, [])  # type: ignore[arg-type]
        good = np.ones(size, bool)
        good[list(bad)] = False
        kept, before = np.flatnonzero(good).tolist(), np.cumsum(good).tolist()
        rejects = [
            Reject(before[index], origin, places[index], bad[index], data(index)[:HEAD]) for index in sorted(bad)
        ]
        return Block(
            len(kept),
            numbers[good],
            [[column[index] for index in kept] for column in categories],
            None if labels is None else [labels[index] for index in kept],
            None if keys is None else [str(keys[index]) for index in kept],
            None if seconds is None else seconds[good],
            rejects,
        )

    def empty(self) -> Block:
        """A block without records."""
        texts: list[list[Cell]] = [[] for _ in self._categories]
        texts += [[] for cache in (self._label, self._keys) if cache is not None]
        return self.block(np.empty((0, len(self.schema.numbers))), texts, [], {}, "", [], lambda _: b"")


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
    )


def part_of(block: Block, start: int, stop: int) -> Block:
    """The records from `start` to before `stop`, without what was rejected."""
    if start == 0 and stop == block.size:
        return block
    return Block(
        stop - start,
        block.numbers[start:stop],
        [texts[start:stop] for texts in block.categories],
        None if block.labels is None else block.labels[start:stop],
        None if block.keys is None else block.keys[start:stop],
        None if block.times is None else block.times[start:stop],
        [],
    )


def with_reject(block: Block, origin: str, line: int, reason: str, data: bytes) -> Block:
    """`block`, and behind it a record that cannot be used."""
    return block._replace(rejects=[*block.rejects, Reject(block.size, origin, line, reason, data[:HEAD])])


def none_of(names: Iterable[str]) -> str:
    """The reason against a record that has none of the declared fields, but those of `names`."""
    there = [shown(name) for name in names]
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return f"none of the declared fields; it has: {', '.join(there[:MOST_NAMED]) or 'no fields'}{more}"
