"""Where blocks of records come from: bytes that are decoded, or whatever a program iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import trio

from ...core.base.checks import ArgumentError
from ..decoding.block import Block
from ..decoding.fields import Fields
from ..decoding.objects import decode_frame, decode_objects
from ..decoding.options import RecordOptions
from ..decoding.streams import StreamDecoders
from ..sources import Streams, Transport
from .decoding_worker import LocatedBlock

__all__ = ["BlockSource", "DecodedBlocks", "ItemBlocks"]

ITEMS = 1024  # records of a block at most, where they come one by one,
PATIENCE = 0.005  # and seconds that are waited for more of them
SEEN = 50  # names of fields


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


class DecodedBlocks:
    """The records in the bytes that `transport` brings, in the format `form`. A wait that is cancelled loses nothing.

    ``decoders`` are what has been kept of its streams. Raises ArgumentError.
    """

    came_from, brings_labels = 0, False

    def __init__(self, transport: Transport, form: str, fields: Fields, options: RecordOptions | None = None) -> None:
        self.name, self._transport, self._ended = transport.name, transport, False
        self.can_be_left = transport.complete  # for a while, and nobody is kept waiting
        self.decoders = StreamDecoders(form, fields, options, transport.streams)

    @property
    def seen(self) -> list[str]:
        """See `BlockSource`."""
        return self.decoders.seen

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
        try:
            chunk = await self._transport.receive()
        except trio.EndOfChannel:
            self._ended = True
            return self.decoders.finish()
        came = self._transport.came(chunk)
        block = self.decoders.feed(chunk)
        self.refuse(self.decoders.take_refused())
        return block._replace(came=came)

    def refuse(self, streams: Iterable[int]) -> None:
        """Bring no more of these streams."""
        for stream in streams:
            self._transport.refuse(stream)


class ItemBlocks:
    """The records that a program has: an iterable, async or not, of dicts, of lists of them, or of frames; or a frame.

    A frame is a dict of arrays, or what pandas and polars call one. A wait for an async iterable cannot be cancelled
    without losing it.
    """

    came_from, anybody, brings_labels = 0, False, False

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
        self._held: Any = None  # a list or a frame that has come behind records

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
        if self._held is not None:
            item, self._held = self._held, None
            return self._decode(item)
        if isinstance(self._items, AsyncIterator):
            try:
                return self._decode(await anext(self._items))
            except StopAsyncIteration:
                raise trio.EndOfChannel from None
        await trio.lowlevel.checkpoint()
        records: list[Any] = []
        until = perf_counter() + PATIENCE
        for item in self._items:
            if isinstance(item, list) or _is_frame(item):
                if not records:
                    return self._decode(item)
                self._held = item
                break
            records.append(item)
            if len(records) == ITEMS or perf_counter() > until:  # an iterable can be slow, and live
                break
        if not records:
            raise trio.EndOfChannel
        return self._records(records)

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
