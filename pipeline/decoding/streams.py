"""The streams of a source, each with a decoder of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.base.checks import ArgumentError
from ..sources.source import WHOLE, Chunk, SourceError, Streams
from .block import Block
from .columns import Columns, concatenate, part_of, with_reject
from .fields import Fields
from .formats import RecordDecoder, open_decoder
from .line_decoder import TOO_LONG
from .options import RecordOptions

__all__ = ["StreamDecoders"]

FIRST = 3  # records of a stream, of which one has to fit where anybody may send some


@dataclass
class _Stream:
    decoder: RecordDecoder
    refused: bool = False  # what still comes is dropped
    rejects: int = 0  # before its first record that fits; −1 once there is one


class StreamDecoders:
    """Decodes chunks of any number of streams in the order in which they come; `streams` says what these are.

    A stream that is refused, as `Streams` has it, is rejected, and what still comes of it is dropped; so is one of
    connections with a line that is too long, and one of anybody's whose first three records do not fit.

    Raises ArgumentError, also where the options cannot be used.
    """

    def __init__(
        self, form: str, fields: Fields, options: RecordOptions | None = None, streams: Streams = Streams.ONE
    ) -> None:
        self._form, self._fields, self._options = form, fields, options or RecordOptions()
        self._kind, self._closes = streams, streams in (Streams.CONNECTIONS, Streams.ANYBODY)
        if streams == Streams.MESSAGES and form != "jsonl" and not self._options.columns:
            raise ArgumentError("columns", "the names of the columns (--columns), as messages have no header", "none")
        self._spare: RecordDecoder | None = self._make()  # for the first stream
        self._seen = self._spare.seen
        self._streams: dict[int, _Stream] = {}
        self._empty = Columns(fields, self._options).empty()
        self._fits = False  # any record has
        self._refused: list[int] = []
        self._dumped: dict[int, list[Any]] = {}  # what each stream keeps

    def _make(self) -> RecordDecoder:
        return open_decoder(self._form, self._fields, self._options)

    @property
    def seen(self) -> list[str]:
        """Names of fields that records of the last stream have or had, up to 50."""
        return self._seen

    @property
    def begins_again(self) -> bool:
        """See `RecordDecoder`; of any stream."""
        return any(stream.decoder.begins_again for stream in self._streams.values())

    def take_refused(self) -> list[int]:
        """The streams that were refused since this was last asked, for whoever can close them."""
        refused, self._refused = self._refused, []
        return refused

    def feed(self, chunk: Chunk) -> Block:
        """The records that end in `chunk`. Raises SourceError."""
        stream = self._streams.get(chunk.stream)
        if stream is None:
            stream = self._streams[chunk.stream] = _Stream(self._spare or self._make())
            self._spare = None
            if self._kind == Streams.MESSAGES:  # behind an empty line nothing says what all the others are
                chunk = chunk._replace(data=b"\n" + chunk.data)
        self._dumped.pop(chunk.stream, None)
        block = self._empty if stream.refused else self._decode(stream, chunk)
        if chunk.ends:
            del self._streams[chunk.stream]
        return block

    def finish(self) -> Block:
        """What the end of the source completes: all its streams have ended. Raises SourceError."""
        ends = [self.feed(Chunk(b"", "", {}, stream, WHOLE)) for stream in [*self._streams]]
        return concatenate(ends) if ends else self._empty

    def _decode(self, stream: _Stream, chunk: Chunk) -> Block:
        blocks = [self._empty]
        try:
            if chunk.data:
                blocks.append(stream.decoder.feed(chunk))
            if chunk.ends or (stream.decoder.is_long and self._closes):
                blocks.append(stream.decoder.finish() if chunk.ends == WHOLE else stream.decoder.abandon())
        except SourceError as error:
            if self._kind < Streams.ANYBODY and not (self._fits and self._kind > Streams.ONE):
                raise
            reason = str(error).removeprefix(f"{chunk.origin}: ")
            blocks.append(with_reject(self._empty, chunk.origin, 1, reason, b""))
            self._refuse(stream, chunk.stream)
        self._seen = stream.decoder.seen
        block = self._checked(stream, chunk.stream, concatenate(blocks))
        self._fits = self._fits or block.size > 0
        return block

    def _checked(self, stream: _Stream, number: int, block: Block) -> Block:
        """`block` up to where the stream has to be refused."""
        if not self._closes or number < 0:
            return block
        for index, reject in enumerate(block.rejects):
            if reject.before == 0 and stream.rejects >= 0:
                stream.rejects += 1
            strange = reject.before == 0 and stream.rejects >= FIRST and self._kind == Streams.ANYBODY
            if strange or reject.reason == TOO_LONG:
                self._refuse(stream, number)
                return part_of(block, 0, reject.before)._replace(rejects=block.rejects[: index + 1])
        if block.size:
            stream.rejects = -1
        return block

    def _refuse(self, stream: _Stream, number: int) -> None:
        if not stream.refused:
            stream.refused = True
            self._refused.append(number)

    def dump(self) -> dict[str, Any]:
        """What it keeps, as JSON."""
        for number, stream in self._streams.items():
            if number not in self._dumped:
                self._dumped[number] = [number, stream.refused, stream.rejects, dict(stream.decoder.dump())]
        return {"streams": [*map(self._dumped.__getitem__, self._streams)], "fits": self._fits}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `dump` gave."""
        self._fits = state["fits"]
        self._streams, self._dumped = {}, {}
        for number, refused, rejects, decoder in state["streams"]:
            stream = self._streams[number] = _Stream(self._make(), refused, rejects)
            stream.decoder.load(decoder)
            self._spare = None
