"""What decoders of lines have in common: gzip, lines, errors that wait for their turn, and what they keep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..sources.source import Chunk, SourceError
from .block import Block
from .columns import Columns, concatenate, with_reject
from .fields import Fields
from .inflate import Inflater
from .lines import LONGEST, Lines, LineSplitter
from .options import RecordOptions

__all__ = ["LineDecoder", "Names"]

TOO_LONG = f"the line is longer than {LONGEST:,} bytes"
BROKEN = "the source broke off before the end of the line"


class Names:
    """The last names of fields that were seen, up to 50."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, names: Iterable[str]) -> None:
        """See `names`."""
        for name in names:
            if name not in self._names:
                self._names[name[:200]] = None
        while len(self._names) > 50:
            del self._names[next(iter(self._names))]

    @property
    def listed(self) -> list[str]:
        """The names, in the order in which they came."""
        return list(self._names)


class LineDecoder:
    """A `Decoder` of lines to blocks of records by `fields`; a subclass says what a line means, in `_decode`.

    gzip is recognised and read whole. Where it `begins_again`, what `dump` gave is for the source's start.
    """

    def __init__(self, fields: Fields, options: RecordOptions | None = None) -> None:
        self.options = RecordOptions() if options is None else options
        self._columns = Columns(fields, self.options)
        self._origin = ""
        self._names = Names()
        self._inflater, self._splitter = Inflater(), LineSplitter()
        self._error: SourceError | None = None  # behind what has come out

    @property
    def seen(self) -> list[str]:
        """Names of fields that records have or had, up to 50."""
        return self._names.listed

    @property
    def begins_again(self) -> bool:
        """Whether one that loads what this dumps has to be fed from the start of the source, as gzip has to be."""
        return self._inflater.begins_again

    @property
    def is_long(self) -> bool:
        """See `RecordDecoder`."""
        return self._splitter.is_long

    def feed(self, chunk: Chunk) -> Block:
        """See `Decoder`."""
        self._origin = chunk.origin
        return self._run(chunk.data, last=False)

    def finish(self) -> Block:
        """See `Decoder`."""
        block = self._run(b"", last=True)
        if self._error is not None:
            raise self._error
        return block

    def abandon(self) -> Block:
        """See `RecordDecoder`."""
        reason = TOO_LONG if self.is_long else BROKEN
        line, rest = self._splitter.abandon()
        block = self._decode(Lines(line, [], {}), last=True)
        return with_reject(block, self._origin, line, reason, rest) if rest.strip() else block

    def _run(self, data: bytes, *, last: bool) -> Block:
        if self._error is not None:
            raise self._error
        blocks: list[Block] = []
        try:
            if last:
                data = self._inflater.finish()
                blocks.append(self._decode(self._splitter.feed(data), last=False))
                blocks.append(self._decode(self._splitter.finish(), last=True))
            else:
                for piece in self._inflater.feed(data):
                    blocks.append(self._decode(self._splitter.feed(piece), last=False))  # noqa: PERF401 (it may raise)
        except SourceError as error:
            self._error = SourceError(f"{self._origin}: {error}")
            if not any(block.size or block.rejects for block in blocks):
                raise self._error from None
        return concatenate(blocks) if blocks else self._columns.empty()

    def _decode(self, lines: Lines, *, last: bool) -> Block:
        """The records of `lines`; `last` if none come behind them. Raises SourceError, without the source's name."""
        raise NotImplementedError

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        return {"origin": self._origin, **self._splitter.dump(), **self._inflater.dump()}

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""
        self._origin, self._error = str(state["origin"]), None
        self._splitter.load(state)
        self._inflater.load(state)
