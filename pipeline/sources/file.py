"""Text from a regular file: B lanes are B contiguous parts of it."""

from __future__ import annotations

import itertools
import os
from bisect import bisect_right
from collections.abc import AsyncIterator
from types import TracebackType

import numpy as np
import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.text.vocabulary import ByteVocabulary, CharVocabulary, Vocabulary
from ..decoding.errors import SourceError
from ..decoding.text import Utf8Decoder

__all__ = ["TextFile"]

BLOCK = 1 << 20  # bytes a read of the first pass takes
REFILL = 4096  # tokens, about, that each lane reads at once


class TextFile:
    """The text in the open regular file `fd`, `epochs` times over (None: for ever); `name` stands for it in messages.

    A text of N symbols is cut into B parts of ``N // B``, in order; what is left at the end of the file is not
    used. Lane b reads part b, T symbols a batch; the targets are the symbols one further on. So an epoch has
    ``(N // B − 1) // T`` batches, and its first one resets the hidden state.

    The vocabulary is ``"chars"`` (the characters of the file), ``"bytes"``, or one that is given. Memory is
    bounded: a first pass counts the characters, then each lane reads from its own place in the file.
    """

    def __init__(
        self,
        fd: int,
        name: str,
        batch_size: int,
        seq_len: int,
        vocabulary: str | Vocabulary = "chars",
        epochs: int | None = 1,
    ) -> None:
        self.fd, self.name, self.batch_size, self.seq_len, self.epochs = fd, name, batch_size, seq_len, epochs
        self._wanted = vocabulary
        self._index: list[tuple[int, int]] = []  # (characters, bytes) before each block

    async def __aenter__(self) -> TextFile:
        await trio.to_thread.run_sync(self._survey)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # the descriptor belongs to the caller

    @property
    def leftover(self) -> int:
        """Symbols of the file that no batch of an epoch has as input."""
        return self.symbols - self.batches_per_epoch * self.batch_size * self.seq_len

    def _survey(self) -> None:
        """Count the symbols, learn the vocabulary, check that there is a batch."""
        if isinstance(self._wanted, ByteVocabulary) or self._wanted == "bytes":
            self.vocabulary: Vocabulary = ByteVocabulary()
            self.symbols = os.fstat(self.fd).st_size
        else:
            seen = self._count_characters()
            given = self._wanted if isinstance(self._wanted, CharVocabulary) else None
            self.vocabulary = given or CharVocabulary(map(chr, np.flatnonzero(seen)))
        if self.symbols == 0:
            raise SourceError(f"{self.name}: the file is empty")
        self._part = self.symbols // self.batch_size
        self.batches_per_epoch = max(0, (self._part - 1) // self.seq_len)
        if self.batches_per_epoch == 0:
            needed = self.batch_size * (self.seq_len + 1)
            raise SourceError(
                f"{self.name}: {self.symbols} symbols are shorter than one batch, which takes {needed} "
                f"({self.batch_size} lanes of {self.seq_len} + 1); use a smaller batch size or sequence length"
            )

    def _count_characters(self) -> Array:
        seen = np.zeros(0x110000, bool)
        decoder, self.symbols, place = Utf8Decoder(self.name), 0, 0
        while data := os.pread(self.fd, BLOCK, place):
            trio.from_thread.check_cancelled()
            self._index.append((self.symbols, place))
            # A block ends where a character does, so that its start is a place to decode from.
            whole = len(data) - _unfinished(data) or len(data)
            place += whole
            text = decoder.decode(data[:whole])
            seen[np.frombuffer(text.encode("utf-32-le"), np.uint32)] = True
            self.symbols += len(text)
        decoder.decode(b"", final=True)
        return seen

    def _lane(self, symbol: int) -> _Lane:
        if isinstance(self.vocabulary, ByteVocabulary):
            return _Lane(self, symbol, 0)
        block = bisect_right(self._index, symbol, key=lambda entry: entry[0]) - 1
        characters, place = self._index[block]
        return _Lane(self, place, symbol - characters)

    async def __aiter__(self) -> AsyncIterator[SequenceBatch]:
        T = self.seq_len
        at_once = max(1, REFILL // T)  # batches between two reads
        for _ in itertools.count() if self.epochs is None else range(self.epochs):
            lanes = [self._lane(lane * self._part) for lane in range(self.batch_size)]
            for first in range(0, self.batches_per_epoch, at_once):
                batches = min(at_once, self.batches_per_epoch - first)
                tokens = await trio.to_thread.run_sync(self._read, lanes, batches * T + 1)
                for batch in range(batches):
                    window = tokens[batch * T : (batch + 1) * T + 1]
                    yield SequenceBatch(window[:-1], window[1:], reset=first + batch == 0)

    def _read(self, lanes: list[_Lane], count: int) -> Array:
        return np.stack([lane.read(count) for lane in lanes], axis=1)


class _Lane:
    """One lane's place in the file: `skip` symbols behind the byte at `place`."""

    def __init__(self, source: TextFile, place: int, skip: int) -> None:
        self._source, self._place = source, place
        self._decoder = Utf8Decoder(source.name)
        self._tokens = np.zeros(0, np.int32)
        if skip:
            self.read(skip + 1)

    def read(self, count: int) -> Array:
        """The next `count` tokens. The last of them is read again: it is a target here and an input next."""
        source = self._source
        while len(self._tokens) < count:
            data = os.pread(source.fd, max(count, REFILL), self._place)
            if not data:
                raise SourceError(f"{source.name}: the file has become shorter while it was read")
            self._place += len(data)
            if isinstance(source.vocabulary, ByteVocabulary):
                new = source.vocabulary.encode(data)
            else:
                new = source.vocabulary.encode(self._decoder.decode(data))
            self._tokens = np.concatenate((self._tokens, new))
        taken, self._tokens = self._tokens[:count], self._tokens[count - 1 :]
        return taken


def _unfinished(data: bytes) -> int:
    """How many bytes at the end of `data` begin a UTF-8 character that does not end there."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 != 0x80:  # not a continuation byte: the character begins here
            length = 1 + (byte >= 0xC0) + (byte >= 0xE0) + (byte >= 0xF0)
            return back if length > back else 0
    return 0
