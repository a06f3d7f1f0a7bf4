"""Lanes over a text that arrives: they take successive blocks of it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.text.vocabularies import CharVocabulary, TextVocabulary
from ..decoding import Decoder
from ..sources import Position, SourceError, Transport
from .source import count_unknown, given_vocabulary, make_decoder

__all__ = ["TextStream"]

PRINTABLE = "\t\n" + "".join(map(chr, range(32, 127)))


class ChunkStart(NamedTuple):
    """Where a chunk begins: the ``symbols`` before it, and the positions of transport and decoder."""

    symbols: int
    transport: Position
    decoder: Mapping[str, int | str]


class TextStream:
    """The text that comes in by `transport`.

    Lanes take successive blocks of T symbols: of batch k, lane b has the symbols from ``(k·B + b)·T`` on, and the
    targets are the symbols one further on. A batch is complete when ``B·T + 1`` symbols are there, the last of
    which begins the next batch. Each lane carries its hidden state on from its block of the batch before; with
    ``B = 1`` the text is one unbroken sequence. What is left when the input ends is not used.

    The vocabulary is ``"bytes"``, one that is given, or ``"chars"``: the printable ASCII characters and those of
    the first batch. A character that comes later and is none of them becomes token 0, and is counted as unknown.

    With `position`, that of another stream, the transport has been opened there.
    """

    def __init__(
        self,
        transport: Transport,
        batch_size: int,
        seq_len: int,
        vocabulary: str | TextVocabulary = "chars",
        *,
        encoding: str | None = None,
        position: Position | None = None,
    ) -> None:
        self._transport, self.batch_size, self.seq_len = transport, batch_size, seq_len
        self._given = given_vocabulary(vocabulary, encoding)
        self._decoder: Decoder[Any] = make_decoder(self._given, encoding)
        self._needed = batch_size * seq_len + 1
        self._parts, self._held = list[Array](), 0  # tokens that have come and are in no batch
        self._ended = False
        self._batch = self._used = self._came = 0  # batches given; symbols in them, and in all, since it was opened
        if position is not None:
            self._batch, self._used = int(position["batch"]), int(position["skip"])
            self._decoder.load(position)
        self._starts = deque([ChunkStart(0, transport.position, self._decoder.dump())])
        self.leftover, self.unknown = 0, int((position or {}).get("unknown", 0))

    async def __aenter__(self) -> TextStream:
        if self._given is not None:
            self.vocabulary: TextVocabulary = self._given
        else:
            text = ""
            while self._came < self._used + self._needed and not self._ended:
                text += await self._receive()
            text = text[self._used :]
            self.vocabulary = CharVocabulary(PRINTABLE + text[: self._needed])
            self._keep(self.vocabulary.encode(text))
        await self._fill()
        if self._held < self._needed and self._batch == 0:
            came = f"{self._held} symbols are shorter than" if self._held else "ended before"
            raise SourceError(
                f"{self._transport.name}: {came} one batch, which takes {self._needed} ({self.batch_size} lanes of "
                f"{self.seq_len}, + 1); use a smaller batch size or sequence length"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # the transport belongs to the caller

    @property
    def position(self) -> Position:
        """See `Source`. It holds for these lanes, T and vocabulary alone."""
        start = self._starts[0]
        learned: dict[str, int | str] = {}
        if isinstance(self.vocabulary, CharVocabulary):  # which may have been learned of what does not come again
            learned["characters"] = self.vocabulary.characters
        place = {"batch": self._batch, "skip": self._used - start.symbols, "unknown": self.unknown}
        return {**start.transport, **start.decoder, **place, **learned}

    def rewind(self, position: Position) -> None:
        """See `TextFile.rewind`; it has to have been opened there. Raises SourceError."""
        if int(position["batch"]) != self._batch:
            raise SourceError(f"{self._transport.name}: was opened behind batch {self._batch}, not {position['batch']}")

    async def _receive(self) -> Any:  # noqa: ANN401 (str or bytes)
        """The symbols that the next chunk, or the end, completes."""
        chunk = None
        with suppress(trio.EndOfChannel):
            chunk = await self._transport.receive()
        self._ended = chunk is None
        symbols = self._decoder.finish() if chunk is None else self._decoder.feed(chunk)
        self._came += len(symbols)
        if chunk is not None:
            # A position is at the end of a batch: of the starts up to there, the last will do.
            if len(self._starts) > 1 and self._came < self._used + self._needed:
                self._starts.pop()
            self._starts.append(ChunkStart(self._came, chunk.after, self._decoder.dump()))
        return symbols

    async def _fill(self) -> None:
        """Read until there is a batch or the input ends."""
        while self._held < self._needed and not self._ended:
            new = self.vocabulary.encode(await self._receive())
            late = self._used - (self._came - len(new))  # how many of the first are before the position
            self._keep(new[max(0, late) :])

    def _keep(self, tokens: Array) -> None:
        self._parts.append(tokens)
        self._held += len(tokens)

    def _take(self) -> Array:
        """The tokens of a batch, the last of which begins the next."""
        tokens = np.concatenate(self._parts)
        self._parts, self._held = [], 0
        self._keep(tokens[self._needed - 1 :])
        return tokens[: self._needed]

    async def __aiter__(self) -> AsyncGenerator[SequenceBatch, None]:
        B, T = self.batch_size, self.seq_len
        while True:
            await self._fill()
            if self._held < self._needed:
                self.leftover = self._held
                return
            window, reset = self._take(), self._batch == 0
            self._batch += 1
            self._used += B * T
            while len(self._starts) > 1 and self._starts[1].symbols <= self._used:
                self._starts.popleft()
            self.unknown += count_unknown(self.vocabulary, window[:-1])
            yield SequenceBatch(window[:-1].reshape(B, T).T, window[1:].reshape(B, T).T, reset=reset)
