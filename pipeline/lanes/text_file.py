"""Lanes over the text of a file: B lanes are B contiguous parts of it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping
from math import ceil
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.text.vocabularies import ByteVocabulary, CharVocabulary, TextVocabulary
from ..decoding import Decoder, TextDecoder
from ..sources import FileTransport, Position, SourceError
from .source import count_unknown, given_vocabulary, make_decoder

__all__ = ["TextFile"]

STRIDE = 4096  # bytes between two waypoints at least
WAYPOINTS = 8192  # at most
REFILL = 4096  # tokens, about, that each lane reads at once,
BUFFER = 1 << 20  # and all lanes together


class Waypoint(NamedTuple):
    """Before the byte ``byte`` there are ``symbols``, and a decoder in ``state`` goes on from there."""

    symbols: int
    byte: int
    state: Mapping[str, int | str]


class Survey(NamedTuple):
    """What a first pass over a file found: the number of ``symbols``, which ones, and waypoints to begin at."""

    symbols: int
    characters: str
    waypoints: list[Waypoint]


def survey(file: FileTransport, encoding: str | None) -> Survey:
    """Read `file` once. In a worker thread of trio, which it lets be cancelled. Raises SourceError."""
    seen, decoder, waypoints, symbols = np.zeros(0x110000, bool), TextDecoder(encoding or "utf-8"), list[Waypoint](), 0
    stride, place = max(STRIDE, ceil(file.end / WAYPOINTS)), 0
    while True:
        trio.from_thread.check_cancelled()
        chunk = file.read(place, stride)
        if chunk.data:
            waypoints.append(Waypoint(symbols, place, decoder.dump()))
        # A character that the end cuts in two is no fault where somebody is writing on.
        text = decoder.feed(chunk) if chunk.data or file.grows else decoder.finish()
        seen[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)] = True
        symbols += len(text)
        place += len(chunk.data)
        if not chunk.data:
            return Survey(symbols, "".join(map(chr, np.flatnonzero(seen))), waypoints)


class TextFile:
    """The text of `file`, `epochs` times over (None: for ever).

    A text of N symbols is cut into B parts of ``N // B``, in order; what is left at the end of the file is not
    used. Lane b reads part b, T symbols a batch; the targets are the symbols one further on. So an epoch has
    ``(N // B − 1) // T`` batches, and its first one resets the hidden state.

    The vocabulary is ``"chars"`` (the characters of the file), ``"bytes"``, or one that is given. Memory is bounded:
    a first pass counts the characters and notes waypoints, one in 4 KiB, or 8,192 of them. Then each lane
    reads on from its own, a few thousand symbols at a time, and all together a million.
    """

    def __init__(
        self,
        file: FileTransport,
        batch_size: int,
        seq_len: int,
        vocabulary: str | TextVocabulary = "chars",
        epochs: int | None = 1,
        *,
        encoding: str | None = None,
        position: Position | None = None,
    ) -> None:
        self._file, self.batch_size, self.seq_len, self.epochs = file, batch_size, seq_len, epochs
        self._given, self._encoding = given_vocabulary(vocabulary, encoding), encoding
        self._begin = self._batch = int((position or {}).get("batch", 0))  # of all epochs
        self._waypoints: list[Waypoint] = []
        self._unknown = self.unknown = int((position or {}).get("unknown", 0))

    async def __aenter__(self) -> TextFile:
        await trio.to_thread.run_sync(self._survey)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # the file belongs to the caller

    @property
    def leftover(self) -> int:
        """Symbols of the file that no batch of an epoch has as input."""
        return self.symbols - self.batches_per_epoch * self.batch_size * self.seq_len

    @property
    def position(self) -> Position:
        """See `Source`. It holds for these lanes, T and vocabulary alone."""
        return {"batch": self._batch, "byte": 0, "end": self._file.end, "unknown": self.unknown}

    def rewind(self, position: Position) -> None:
        """Iterate from `position` on, which a file with these lanes, T and vocabulary has given. Raises SourceError."""
        if int(position["end"]) != self._file.end:
            raise SourceError(f"{self._file.name}: was {position['end']} bytes long, and is {self._file.end} now")
        self._begin = self._batch = int(position["batch"])
        self._unknown = self.unknown = int(position["unknown"])

    def _survey(self) -> None:
        """Count the symbols, learn the vocabulary, check that there is a batch."""
        if isinstance(self._given, ByteVocabulary):
            self.vocabulary: TextVocabulary = self._given
            self.symbols = self._file.end
        else:
            self.symbols, characters, self._waypoints = survey(self._file, self._encoding)
            self.vocabulary = self._given or CharVocabulary(characters)
        if self.symbols == 0:
            raise SourceError(f"{self._file.name}: the file is empty")
        self._part = self.symbols // self.batch_size
        self.batches_per_epoch = max(0, (self._part - 1) // self.seq_len)
        if self.batches_per_epoch == 0:
            needed = self.batch_size * (self.seq_len + 1)
            raise SourceError(
                f"{self._file.name}: {self.symbols} symbols are shorter than one batch, which takes {needed} "
                f"({self.batch_size} lanes of {self.seq_len} + 1); use a smaller batch size or sequence length"
            )

    def _open_lane(self, symbol: int) -> _Lane:
        decoder: Decoder[Any] = make_decoder(self._given, self._encoding)
        if isinstance(self.vocabulary, ByteVocabulary):
            return _Lane(self._file, self.vocabulary, decoder, symbol, 1.0)
        point = self._waypoints[bisect_right(self._waypoints, symbol, key=lambda point: point.symbols) - 1]
        decoder.load(point.state)
        lane = _Lane(self._file, self.vocabulary, decoder, point.byte, self._file.end / self.symbols)
        lane.skip(symbol - point.symbols)
        return lane

    async def __aiter__(self) -> AsyncGenerator[SequenceBatch, None]:
        B, T, lanes = self.batch_size, self.seq_len, list[_Lane]()
        at_once = max(1, min(REFILL // T, BUFFER // (B * T)))  # batches between two reads

        def read(first: int, batches: int) -> Array:
            if first == 0 or not lanes:
                lanes[:] = [self._open_lane(lane * self._part + first * T) for lane in range(B)]
            return np.stack([lane.read(batches * T + 1) for lane in lanes], axis=1)

        self._batch, self.unknown = self._begin, self._unknown
        while self.epochs is None or self._batch < self.epochs * self.batches_per_epoch:
            first = self._batch % self.batches_per_epoch
            batches = min(at_once, self.batches_per_epoch - first)
            tokens = await trio.to_thread.run_sync(read, first, batches)
            for batch in range(batches):
                window = tokens[batch * T : (batch + 1) * T + 1]
                self._batch += 1
                self.unknown += count_unknown(self.vocabulary, window[:-1])
                yield SequenceBatch(window[:-1], window[1:], reset=first + batch == 0)


class _Lane:
    """One lane's place in the file. It holds little more than what it was asked for."""

    def __init__(
        self, file: FileTransport, vocabulary: TextVocabulary, decoder: Decoder[Any], byte: int, bytes_per_symbol: float
    ) -> None:
        self._file, self._vocabulary, self._decoder = file, vocabulary, decoder
        self._byte, self._bytes_per_symbol = byte, bytes_per_symbol
        self._tokens = np.zeros(0, np.int32)

    def skip(self, count: int) -> None:
        """Leave out `count` tokens."""
        self.read(count + 1)

    def read(self, count: int) -> Array:
        """The next `count` tokens. The last of them is read again: it is a target here and an input next."""
        while (missing := count - len(self._tokens)) > 0:
            chunk = self._file.read(self._byte, max(64, ceil(missing * self._bytes_per_symbol)))
            new = self._vocabulary.encode(self._decoder.feed(chunk) if chunk.data else self._decoder.finish())
            if not (chunk.data or len(new)):
                raise SourceError(f"{self._file.name}: the file has changed while it was read")
            self._byte += len(chunk.data)
            self._tokens = np.concatenate((self._tokens, new))
        taken, self._tokens = self._tokens[:count], self._tokens[count - 1 :].copy()
        return taken
