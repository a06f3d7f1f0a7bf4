"""The intake: the way into a run, whatever kind of iterable the batches come from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator

import trio

from ...core.base.checks import ArgumentError
from ...core.model.batch import SequenceBatch

__all__ = ["Batches", "Intake"]

Batches = AsyncIterable[SequenceBatch] | Iterable[SequenceBatch]


class Intake:
    """The batches of `batches`, async or not, until they end, until `close`, or `limit` in all.

    ``left`` is how many more may come, None where nobody knows.
    """

    def __init__(self, batches: Batches, limit: int | None) -> None:
        self._source: AsyncIterator[SequenceBatch] | Iterator[SequenceBatch]
        self._source = aiter(batches) if isinstance(batches, AsyncIterable) else iter(batches)
        self._given = batches
        self._first: SequenceBatch | None = None  # that `peek` has taken
        self.left, self._closed = limit, False
        self._waiting: trio.CancelScope | None = None

    async def peek(self) -> SequenceBatch | None:
        """The batch that is next, and stays so; None when there is none any more."""
        if self._first is None and not self.closed:
            self._first = await self._take()
        return self._first

    async def next(self) -> SequenceBatch | None:
        """The next batch; None when there is none any more."""
        if self.closed:
            return None
        batch, self._first = self._first, None
        if batch is None:
            batch = await self._take()
        if self.left is not None:
            self.left -= 1
        return batch

    async def _take(self) -> SequenceBatch | None:
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

    async def aclose(self) -> None:
        """Close an async generator underneath; but not one of the caller's own that has more than was to be taken."""
        if isinstance(self._source, AsyncGenerator) and not (self.left == 0 and self._source is self._given):
            await self._source.aclose()


def _checked(batch: object) -> SequenceBatch:
    if not isinstance(batch, SequenceBatch):
        raise ArgumentError("batches", "SequenceBatch after SequenceBatch", type(batch).__name__)
    return batch
