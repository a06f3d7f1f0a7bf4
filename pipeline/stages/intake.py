"""The intake: the way into a run, whatever kind of iterable the batches come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

import trio

from ...core.base.checks import ArgumentError
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ..lanes.live import Arrivals, LiveSource

__all__ = ["Batches", "Intake", "Item"]

Item = SequenceBatch | Arrivals
Batches = AsyncIterable[Item] | Iterable[Item]


class Intake:
    """The batches of `batches`, async or not, until they end, until `close`, or `limit` in all.

    ``left`` is how many more may come, None where nobody knows. ``records`` is what they come from, where that are
    records: between the batches there are arrivals, of which forecasts are to be made.
    """

    def __init__(self, batches: Batches, limit: int | None) -> None:
        self.records = batches if isinstance(batches, LiveSource) else None
        self._source: AsyncIterator[Item] | Iterator[Item]
        self._source = aiter(batches) if isinstance(batches, AsyncIterable) else iter(batches)
        self._given = batches
        self._first: Item | None = None  # that `peek` has taken
        self.left, self._closed = limit, False
        self._waiting: trio.CancelScope | None = None

    def begin(self, model: SequenceModel, shards: int) -> None:
        """A run of `model` in so many `shards` begins."""
        if self.records is not None:
            self.records.begin(model, shards)

    def size(self, first: Item) -> tuple[int, int, int]:
        """The most steps T and lanes B of a batch, where `first` is the next item; and how many keys have states."""
        if self.records is not None:
            return (*self.records.largest, self.records.keys)
        assert isinstance(first, SequenceBatch)
        return (*first.inputs.shape[:2], 0)

    async def peek(self) -> Item | None:
        """The item that is next, and stays so; None when there is none any more."""
        if self._first is None and not self.closed:
            self._first = await self._take()
        return self._first

    async def next(self) -> Item | None:
        """The next item; None when there is none any more."""
        if self.closed:
            return None
        batch, self._first = self._first, None
        if batch is None:
            batch = await self._take()
        if self.left is not None and not isinstance(batch, Arrivals):
            self.left -= 1
        return batch

    async def _take(self) -> Item | None:
        if self.records is not None and (item := self.records.ready()) is not None:
            return item  # many are: a cancel scope for each would take its time
        try:
            if isinstance(self._source, AsyncIterator):
                with trio.CancelScope() as self._waiting:
                    return _checked(await anext(self._source))
            else:
                return _checked(next(self._source))
        except (StopIteration, StopAsyncIteration):
            pass
        self._closed = True  # at its end, or closed meanwhile
        return None

    @property
    def closed(self) -> bool:
        """Whether no more batches will come."""
        return self.left == 0 or (self._closed and self._first is None)

    def close(self) -> None:
        """Take nothing more from the source; a wait for it ends."""
        self._closed = True
        if self._waiting is not None:
            self._waiting.cancel()

    def applied(self) -> None:
        """The next of the batches that were taken has been applied."""
        if self.records is not None:
            self.records.applied(trio.current_time())

    def report(self) -> dict[str, Any] | None:
        """What has become of the records; None where there are none."""
        return None if self.records is None else self.records.report()

    def latency(self) -> dict[str, float] | None:
        """See `LiveSource.latency`."""
        return None if self.records is None else self.records.latency()

    def end(self) -> None:
        """None of the batches that were taken, and have not been applied, will be."""
        if self.records is not None:
            self.records.end()

    async def aclose(self) -> None:
        """Close an async generator underneath; but not one of the caller's own that has more than was to be taken."""
        self.end()
        if isinstance(self._source, AsyncGenerator) and not (self.left == 0 and self._source is self._given):
            await self._source.aclose()


def _checked(batch: object) -> Item:
    if not isinstance(batch, SequenceBatch | Arrivals):
        raise ArgumentError("batches", "SequenceBatch after SequenceBatch", type(batch).__name__)
    return batch
