"""Where blocks of records come from: bytes that are decoded, or whatever a program iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import trio

from ...core.base.checks import ArgumentError, check_count
from ..decoding.block import Block
from ..decoding.columns import part_of
from ..decoding.fields import Fields
from ..decoding.objects import decode_frame, decode_objects
from ..decoding.options import RecordOptions
from ..decoding.streams import StreamDecoders
from ..sources import GONE, SourceError, Streams, Transport
from .decoding_worker import LocatedBlock

__all__ = ["BlockSource", "DecodedBlocks", "ItemBlocks", "Place", "further"]

ITEMS = 1024  # records of a block at most, where they come one by one,
PATIENCE = 0.005  # and seconds that are waited for more of them
SEEN = 50  # names of fields


Place = Mapping[str, Any]
"""A place in a source of blocks, as JSON: `where` it was before a block, and how much to ``skip`` behind that."""


def further(place: Place, records: int, rejects: int) -> Place:
    """The place so many records, and rejects, behind `place`."""
    before = place.get("skip", (0, 0))
    return {**place, "skip": [before[0] + records, before[1] + rejects]}


class Skip:
    """What is to be left out of the blocks that come: so many records, and rejects."""

    def __init__(self) -> None:
        self._records = self._rejects = 0

    def begin(self, place: Place) -> None:
        """Go on at `place`. Raises SourceError."""
        try:
            self._records, self._rejects = (check_count("skip", count, 0) for count in place.get("skip", (0, 0)))
        except (ArgumentError, TypeError) as error:
            raise SourceError(f"a place in a source: {error}") from None

    def add(self, records: int, rejects: int) -> None:
        """Leave out so many more."""
        self._records, self._rejects = self._records + records, self._rejects + rejects

    def __bool__(self) -> bool:
        return bool(self._records or self._rejects)

    def rest(self, block: Block) -> Block:
        """What is left of `block`."""
        if not self:
            return block
        records, rejects = min(block.size, self._records), min(len(block.rejects), self._rejects)
        self._records -= records
        self._rejects -= rejects
        left = [reject._replace(before=reject.before - records) for reject in block.rejects[rejects:]]
        place = None if block.place is None else further(block.place, records, rejects)
        return part_of(block, records, block.size)._replace(rejects=left, place=place)


class BlockSource(Protocol):
    """Brings blocks of records."""

    name: str

    @property
    def seen(self) -> list[str]:
        """The names of fields that have been seen."""
        ...

    @property
    def anybody(self) -> bool:
        """Whether anybody may send records, so that those that cannot be used say nothing of the others."""
        ...

    @property
    def came_from(self) -> int:
        """Which of its sources the last block was from."""
        ...

    @property
    def left_out(self) -> tuple[int, int]:
        """How many records of that one, and rejects, have been dropped just before the last block."""
        ...

    @property
    def brings_labels(self) -> bool:
        """Whether the last of its sources brings labels alone."""
        ...

    @property
    def counts(self) -> list[dict[str, Any]]:
        """Of each of its sources the name, as ``source``, and what it counts, by names for a report."""
        ...

    async def receive(self) -> Block | LocatedBlock:
        """Wait for the next block, which can be empty. Raises trio.EndOfChannel, SourceError."""
        ...

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (what JSON has)
        """Where it is behind the last block, as JSON; or, within that block, at `place`."""
        ...

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (what `where` gave)
        """Go on from where it was, before anything has been received. Raises SourceError where it cannot."""
        ...


class DecodedBlocks:
    """The records in the bytes that `transport` brings, in the format `form`. A wait that is cancelled loses nothing.

    ``decoders`` are what has been kept of its streams. Raises ArgumentError.
    """

    came_from, brings_labels, left_out = 0, False, (0, 0)

    def __init__(self, transport: Transport, form: str, fields: Fields, options: RecordOptions | None = None) -> None:
        self.name, self._transport, self._ended = transport.name, transport, False
        self.can_be_left = transport.complete  # for a while, and nobody is kept waiting
        self.decoders = StreamDecoders(form, fields, options, transport.streams)
        self._skip = Skip()

    @property
    def seen(self) -> list[str]:
        """See `BlockSource`."""
        return self.decoders.seen

    @property
    def replays(self) -> bool:
        """Whether what it brings has come in an earlier process, and waits for as long as it has to."""
        return self._transport.replays

    @property
    def anybody(self) -> bool:
        """See `BlockSource`."""
        return self._transport.streams >= Streams.ANYBODY

    @property
    def counts(self) -> list[dict[str, Any]]:
        """See `BlockSource`."""
        return [{"source": self.name, **self._transport.counts}]

    async def receive(self) -> Block:
        """See `BlockSource`."""
        if self._ended:
            raise trio.EndOfChannel
        place = self.where() if self._transport.rewindable else None
        try:
            chunk = await self._transport.receive()
        except trio.EndOfChannel:
            self._ended = True
            return self._skip.rest(self.decoders.finish()._replace(place=place))
        came = self._transport.came(chunk)
        if place is not None:
            place["transport"] = dict(self._transport.before(chunk, place["transport"]))
        if chunk.ends == GONE:
            self._skip = Skip()
        block = self.decoders.feed(chunk)
        self.refuse(self.decoders.take_refused())
        return self._skip.rest(block._replace(came=came, place=place))

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        return place or {"transport": dict(self._transport.position), "decoders": self.decoders.dump()}

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        self.decoders.load(where["decoders"])
        again = self.decoders.begins_again  # it knows how much of the bytes from the start on it has had
        self._transport.rewind(where["transport"] | {"byte": 0} if again else where["transport"])
        self._skip.begin(where)

    def refuse(self, streams: Iterable[int]) -> None:
        """Bring no more of these streams."""
        for stream in streams:
            self._transport.refuse(stream)


class ItemBlocks:
    """The records that a program has: an iterable, async or not, of dicts, of lists of them, or of frames; or a frame.

    A frame is a dict of arrays, or what pandas and polars call one. A wait for an async iterable cannot be cancelled
    without losing it.
    """

    came_from, anybody, brings_labels, left_out = 0, False, False, (0, 0)

    def __init__(self, items: object, fields: Fields, options: RecordOptions) -> None:
        self.name, self._fields, self._options = type(items).__name__, fields, options
        self.seen: list[str] = []
        self._items: Iterator[Any] | AsyncIterator[Any]
        if _is_frame(items):
            items = [items]
        if isinstance(items, AsyncIterable):
            self._items = aiter(items)
        elif isinstance(items, Iterable) and not isinstance(items, str | bytes | Mapping):
            self._items = iter(items)
        else:
            raise ArgumentError("records", "an iterable of records, or a frame", type(items).__name__)
        self._given = items
        self._held: Any = None  # a list or a frame that has come behind records,
        self._before: Any = None  # and where they were before it
        self._came, self._skip = 0, Skip()

    @property
    def counts(self) -> list[dict[str, Any]]:
        """See `BlockSource`."""
        return [{"source": self.name}]

    @property
    def can_wait(self) -> bool:
        """Whether a wait can be given up without losing what is waited for."""
        return not isinstance(self._items, AsyncIterator)

    async def receive(self) -> Block:
        """See `BlockSource`."""
        at, block = await self._receive()
        return self._skip.rest(block._replace(place={"at": at}))

    async def _receive(self) -> tuple[Any, Block]:
        if self._held is not None:
            (at, item), self._held = (self._before, self._held), None
            return at, self._decode(item)
        at = self._at()
        if isinstance(self._items, AsyncIterator):
            try:
                item = await anext(self._items)
            except StopAsyncIteration:
                raise trio.EndOfChannel from None
            self._came += 1
            return at, self._decode(item)
        await trio.lowlevel.checkpoint()
        records: list[Any] = []
        until, before = perf_counter() + PATIENCE, at
        for item in self._items:
            self._came += 1
            if isinstance(item, list) or _is_frame(item):
                if not records:
                    return at, self._decode(item)
                self._held, self._before = item, before
                break
            records.append(item)
            before = self._at()
            if len(records) == ITEMS or perf_counter() > until:  # an iterable can be slow, and live
                break
        if not records:
            raise trio.EndOfChannel
        return at, self._records(records)

    def _at(self) -> Any:  # noqa: ANN401 (what the program calls a position)
        position = getattr(self._given, "position", None)
        return position() if callable(position) else self._came

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        return place or {"at": self._before if self._held is not None else self._at()}

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`. A program's own iterable can say its ``position()``, and ``rewind(position)``."""
        rewind = getattr(self._given, "rewind", None)
        if callable(rewind):
            rewind(where["at"])
            self._items = aiter(self._given) if isinstance(self._given, AsyncIterable) else iter(self._given)
        elif isinstance(self._items, AsyncIterator) or self._items is self._given:
            raise SourceError(f"{self.name}: can be read only once; methods position() and rewind() let it go back")
        else:
            self._came = sum(1 for _ in islice(self._items, where["at"]))
        self._skip.begin(where)

    def _decode(self, item: Any) -> Block:  # noqa: ANN401 (anything may come)
        """A list of records, a frame, or a single record."""
        if isinstance(item, list):
            return self._records(item)
        if _is_frame(item):
            self._see(item.keys() if isinstance(item, Mapping) else item.columns)
            return decode_frame(self._fields, item, self._options)._replace(came=trio.current_time())
        return self._records([item])

    def _records(self, records: list[Any]) -> Block:
        if records and isinstance(records[-1], Mapping):
            self._see(records[-1])
        return decode_objects(self._fields, records, self._options)._replace(came=trio.current_time())

    def _see(self, names: Iterable[object]) -> None:
        if len(self.seen) < SEEN:
            self.seen = [*dict.fromkeys([*self.seen, *map(str, names)])][:SEEN]


def _is_frame(item: object) -> bool:
    """Whether `item` is a dict of columns, or a frame of pandas or polars."""
    if isinstance(item, Mapping):
        return any(isinstance(column, np.ndarray) and column.ndim for column in item.values())
    return hasattr(item, "columns") and hasattr(item, "__getitem__")
