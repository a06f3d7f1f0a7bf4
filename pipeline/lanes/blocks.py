"""Where blocks of records come from: bytes that are decoded, or whatever a program iterates over."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Protocol

import numpy as np
import trio

from ...core.base.checks import ArgumentError
from ...core.online.schema import Schema
from ..decoding.block import Block
from ..decoding.decoder import Decoder
from ..decoding.objects import decode_frame, decode_objects
from ..decoding.options import RecordOptions
from ..sources import Transport
from .decoding_worker import LocatedBlock

__all__ = ["BlockSource", "DecodedBlocks", "ItemBlocks"]

ITEMS = 1024  # records of a block at most, where they come one by one


class BlockSource(Protocol):
    """Brings blocks of records."""

    name: str

    @property
    def seen(self) -> list[str]:
        """The names of fields that have been seen."""
        ...

    async def receive(self) -> Block | LocatedBlock:
        """Wait for the next block, which can be empty. Raises trio.EndOfChannel, SourceError."""
        ...


class DecodedBlocks:
    """The records in the bytes that `transport` brings. A wait that is cancelled loses nothing."""

    def __init__(self, transport: Transport, decoder: Decoder[Block]) -> None:
        self.name, self._transport, self._decoder, self._ended = transport.name, transport, decoder, False

    @property
    def seen(self) -> list[str]:
        """See `BlockSource`."""
        return list(self._decoder.seen)  # type: ignore[attr-defined]

    async def receive(self) -> Block:
        """See `BlockSource`."""
        if self._ended:
            raise trio.EndOfChannel
        try:
            chunk = await self._transport.receive()
        except trio.EndOfChannel:
            self._ended = True
            return self._decoder.finish()
        return self._decoder.feed(chunk)


class ItemBlocks:
    """The records that a program has: an iterable, async or not, of dicts, of lists of them, or of frames; or a frame.

    A frame is a dict of arrays, or what pandas and polars call one. A wait for an async iterable cannot be cancelled
    without losing it.
    """

    def __init__(self, items: object, schema: Schema, options: RecordOptions) -> None:
        self.name, self._schema, self._options = type(items).__name__, schema, options
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
        self._held: list[Any] = []

    async def receive(self) -> Block:
        """See `BlockSource`."""
        if isinstance(self._items, AsyncIterator):
            try:
                return self._decode([await anext(self._items)])
            except StopAsyncIteration:
                raise trio.EndOfChannel from None
        await trio.lowlevel.checkpoint()
        items = self._held or list(islice(self._items, ITEMS))
        self._held = []
        if not items:
            raise trio.EndOfChannel
        return self._decode(items)

    def _decode(self, items: list[Any]) -> Block:
        """Records, or one list or frame of them; what comes behind it is held."""
        first = items[0]
        if isinstance(first, list):
            self._held = items[1:]
            return self._records(first)
        if _is_frame(first):
            self._held = items[1:]
            self.seen = [*map(str, first.keys() if isinstance(first, Mapping) else first.columns)][:50]
            return decode_frame(self._schema, first, self._options)
        stop = next(
            (place for place, item in enumerate(items) if isinstance(item, list) or _is_frame(item)), len(items)
        )
        self._held = items[stop:]
        return self._records(items[:stop])

    def _records(self, items: list[Any]) -> Block:
        if not self.seen and items and isinstance(items[0], Mapping):
            self.seen = [*map(str, items[0])][:50]
        return decode_objects(self._schema, items, self._options)


def _is_frame(item: object) -> bool:
    """Whether `item` is a dict of columns, or a frame of pandas or polars."""
    if isinstance(item, Mapping):
        return any(isinstance(column, np.ndarray) and column.ndim for column in item.values())
    return hasattr(item, "columns") and hasattr(item, "__getitem__")
