"""The intake: the way into a run, whatever kind of iterable the batches come from."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import trio

from ...core.base.checks import ArgumentError
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ..lanes.live import Arrivals, LiveSource

__all__ = ["Batches", "Intake", "Item", "Listening", "Marks"]

Item = SequenceBatch | Arrivals
Batches = AsyncIterable[Item] | Iterable[Item]


class Marks(NamedTuple):
    """By the numbers of batches: after each `reports`-th there is a report, and after each `states`-th a checkpoint.

    None where that is not so, or where the clock says when.
    """

    reports: int | None = None
    states: int | None = None

    def behind(self, number: int) -> int | None:
        """The first batch behind this number in front of which one of them is due."""
        return min([(number // every + 1) * every for every in self if every is not None], default=None)


@runtime_checkable
class Listening(Protocol):
    """Batches that are told when they have been applied."""

    def applied(self, loss: float) -> None:
        """The next of them, with this mean `loss`, has been."""
        ...

    def told(self) -> dict[str, Any]:
        """What that has come to, as JSON."""
        ...

    def recall(self, told: Mapping[str, Any]) -> None:
        """Take up what `told` gave."""
        ...


class Intake:
    """The batches of `batches`, async or not, until they end, until `close`, or `limit` in all.

    At `marks` records are taken as far as a batch needs them, and no further.

    ``left`` is how many more may come, None where nobody knows. ``records`` is what they come from, where that are
    records: between the batches there are arrivals, of which forecasts are to be made.
    """

    def __init__(self, batches: Batches, limit: int | None, marks: Marks = Marks()) -> None:  # noqa: B008 (fixed)
        self.records = batches if isinstance(batches, LiveSource) else None
        self._source: AsyncIterator[Item] | Iterator[Item]
        self._source = aiter(batches) if isinstance(batches, AsyncIterable) else iter(batches)
        self._given, self._listening = batches, batches if isinstance(batches, Listening) else None
        self._first: Item | None = None  # that `peek` has taken
        self.left, self._closed = limit, False
        self._waiting: trio.CancelScope | None = None
        self._pass: Callable[[int], None] | None = None  # a barrier, if there is one
        self.number = 0  # of the batch that is to come
        self._marks, self._end = marks, limit
        self._mark: int | None = None  # the next one
        self._reports: dict[int, dict[str, Any]] = {}  # of records, at marks, by the batch

    def guard(self, passes: Callable[[int], None]) -> None:
        """Call `passes` before a batch of some number where the source has what belongs to that place alone."""
        self._pass = passes

    @property
    def rests(self) -> bool:
        """Whether what the source has is that of the batches that were taken."""
        return self._first is None and (self.records is None or self.records.rests)

    @property
    def waits(self) -> bool:
        """Whether a batch is waited for; what the source has is still that of the batches that were taken."""
        return self._waiting is not None

    def dump(self) -> Part:
        """What the source has, where it rests; of a program's own what its ``position()`` says, if it has one."""
        if self.records is not None:
            return self.records.dump()
        position = getattr(self._given, "position", None)
        if position is None:
            return Part({}, {})
        return Part({}, {"position": position() if callable(position) else dict(position)})

    def begin(self, model: SequenceModel, shards: int, number: int) -> None:
        """A run of `model` in so many `shards` begins, with the batch `number`."""
        self.number = number
        self._end = None if self.left is None else number + self.left
        if self.records is not None:
            self.records.begin(model, shards, number)
            self._look_ahead()

    def _look_ahead(self) -> None:
        """Let the records rest at the next mark."""
        assert self.records is not None
        ahead = [mark for mark in (self._marks.behind(self.number), self._end) if mark is not None]
        self._mark = min(ahead, default=None)
        self.records.rest_at(self._mark)

    def load(self, model: SequenceModel, shards: int, part: Part) -> None:
        """Let the source of a run of `model` go back to where it was when `dump` gave `part`.

        Raises ArgumentError, SourceError where it cannot.
        """
        rewind = getattr(self._given, "rewind", None)
        if self.records is not None:
            self.records.begin(model, shards)
            self.records.load(part)
        elif not callable(rewind) or "position" not in part.about:
            expected = "an iterable with methods position() and rewind(position)"
            raise ArgumentError("batches", expected, type(self._given).__name__)
        else:
            rewind(part.about["position"])

    def size(self, first: Item) -> tuple[int, int, int, int]:
        """The most steps T and lanes B of a batch, where `first` is the next item; and see `LiveSource.keys`."""
        if self.records is not None:
            return (*self.records.largest, *self.records.keys)
        assert isinstance(first, SequenceBatch)
        return (*first.inputs.shape[:2], 0, 0)

    async def peek(self) -> Item | None:
        """The item that is next, and stays so; None when there is none any more."""
        if self._first is None and not self.closed:
            self._first = await self._take()
        return self._first

    async def next(self, number: int) -> Item | None:
        """The next item, for the batch of this number; None when there is none any more."""
        self.number = number
        if self._mark is not None and number >= self._mark and self.records is not None:
            self._look_ahead()
        if self._pass is not None:
            self._pass(number)
        if self.closed:
            return None
        batch, self._first = self._first, None
        if batch is None:
            batch = await self._take()
        if isinstance(batch, Arrivals):
            return batch
        if self.left is not None:
            self.left -= 1
        if self.records is not None and self._marks.reports is not None and (number + 1) % self._marks.reports == 0:
            self._reports[number] = self.records.report(settled=True)
        return batch

    async def _take(self) -> Item | None:
        if self.records is not None and (item := self.records.ready()) is not None:
            return item  # many are: a cancel scope for each would take its time
        if self._closed and (self.records is None or self.records.done):
            return None  # what had come is taken, and nothing more is waited for
        try:
            if isinstance(self._source, AsyncIterator):
                try:
                    with trio.CancelScope() as self._waiting:
                        return _checked(await anext(self._source))
                finally:
                    self._waiting = None
            else:
                return _checked(next(self._source))
        except (StopIteration, StopAsyncIteration):
            pass
        self._closed = True  # at its end, or closed meanwhile
        return None

    @property
    def closed(self) -> bool:
        """Whether no more batches will come."""
        if self.left == 0 or not self._closed:
            return self.left == 0
        return self._first is None and (self.records is None or self.records.done)

    def close(self) -> None:
        """Take nothing more from the source; a wait for it ends."""
        self._closed = True
        if self._waiting is not None:
            self._waiting.cancel()

    def applied(self, now: float | None, loss: float = math.nan) -> None:
        """The next of the batches that were taken, with this mean `loss`, has been applied `now`, by trio's clock."""
        if self.records is not None:
            self.records.applied(now)
        elif self._listening is not None:
            self._listening.applied(loss)

    def told(self) -> dict[str, Any] | None:
        """What the source says of the batches that were applied, as JSON; `recall` takes it up again."""
        return None if self._listening is None else self._listening.told()

    def recall(self, told: Mapping[str, Any] | None) -> None:
        """Take up what `told` gave, where that is anything, behind `load`."""
        if told is not None and self._listening is not None:
            self._listening.recall(told)

    def report(self, number: int) -> dict[str, Any] | None:
        """What has become of the records, see `LiveSource.report`; None where there are none.

        At a mark it is what it was when the batch of this number was made.
        """
        if self.records is None:
            return None
        return self._reports.pop(number, None) or self.records.report()

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
