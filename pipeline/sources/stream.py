"""Text that can be read only once and ends nobody knows when: standard input, a pipe."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from types import TracebackType

import numpy as np
import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.text.vocabulary import ByteVocabulary, CharVocabulary, Vocabulary
from ..decoding.errors import SourceError
from ..decoding.text import Utf8Decoder

__all__ = ["TextStream"]

PRINTABLE = "\t\n" + "".join(map(chr, range(32, 127)))


class TextStream:
    """The text that comes in at the file descriptor `fd`; `name` stands for it in messages.

    Lanes take successive blocks of T symbols: of batch k, lane b has the symbols from ``(k·B + b)·T`` on, and the
    targets are the symbols one further on. A batch is complete when ``B·T + 1`` symbols are there, the last of
    which begins the next batch. Each lane carries its hidden state on from its block of the batch before; with
    ``B = 1`` the text is one unbroken sequence. What is left when the input ends is not used.

    The vocabulary is ``"bytes"``, one that is given, or ``"chars"``: the printable ASCII characters and those of
    the first batch. A character that comes later and is none of them becomes token 0.
    """

    def __init__(
        self, fd: int, name: str, batch_size: int, seq_len: int, vocabulary: str | Vocabulary = "chars"
    ) -> None:
        self.fd, self.name, self.batch_size, self.seq_len = fd, name, batch_size, seq_len
        self._wanted = vocabulary
        self._decoder = Utf8Decoder(name)
        self._needed = batch_size * seq_len + 1
        self._tokens = np.zeros(0, np.int32)
        self.leftover = 0

    async def __aenter__(self) -> TextStream:
        if stat.S_ISDIR(os.fstat(self.fd).st_mode):
            raise SourceError(f"{self.name}: Is a directory")
        if isinstance(self._wanted, ByteVocabulary) or self._wanted == "bytes":
            self.vocabulary: Vocabulary = ByteVocabulary()
        elif isinstance(self._wanted, CharVocabulary):
            self.vocabulary = self._wanted
        else:
            text = ""
            while len(text) < self._needed and (data := await self._receive()):
                text += self._decoder.decode(data)
            if len(text) < self._needed:
                text += self._decoder.decode(b"", final=True)
            self.vocabulary = CharVocabulary(PRINTABLE + text[: self._needed])
            self._tokens = self.vocabulary.encode(text)
        await self._fill()
        if len(self._tokens) < self._needed:
            came = f"{len(self._tokens)} symbols are shorter than" if len(self._tokens) else "ended before"
            raise SourceError(
                f"{self.name}: {came} one batch, which takes {self._needed} ({self.batch_size} lanes of "
                f"{self.seq_len}, + 1); use a smaller batch size or sequence length"
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # the descriptor belongs to the caller

    async def _receive(self) -> bytes:
        # Not in a thread if it can be helped: one that is left behind would read what comes later.
        try:
            await trio.lowlevel.wait_readable(self.fd)
        except OSError:  # a file, or a system that can wait for sockets alone
            return await trio.to_thread.run_sync(os.read, self.fd, 1 << 16, abandon_on_cancel=True)
        return os.read(self.fd, 1 << 16)

    async def _fill(self) -> None:
        """Read until there is a batch or the input ends."""
        while len(self._tokens) < self._needed:
            data = await self._receive()
            if isinstance(self.vocabulary, ByteVocabulary):
                new: Array = self.vocabulary.encode(data)
            else:
                new = self.vocabulary.encode(self._decoder.decode(data, final=not data))
            if not data:
                return
            self._tokens = np.concatenate((self._tokens, new))

    async def __aiter__(self) -> AsyncIterator[SequenceBatch]:
        B, T, first = self.batch_size, self.seq_len, True
        while len(self._tokens) >= self._needed:
            window, self._tokens = self._tokens[: self._needed], self._tokens[self._needed - 1 :]
            yield SequenceBatch(window[:-1].reshape(B, T).T, window[1:].reshape(B, T).T, reset=first)
            first = False
            await self._fill()
        self.leftover = len(self._tokens)
