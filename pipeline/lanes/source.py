"""What a source of batches over a text is to those who train on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

import numpy as np

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.text.vocabularies import ByteVocabulary, CharVocabulary, TextVocabulary
from ..decoding import ByteDecoder, Decoder, TextDecoder
from ..sources import Position

__all__ = ["Source", "count_unknown", "given_vocabulary", "make_decoder"]


class Source(Protocol):
    """Batches of a text, the same whatever the timing. Iterated over again, a file begins anew, and a stream goes on.

    ``leftover`` symbols at the end filled no batch. Of the symbols in the batches so far, ``unknown`` are none of the
    vocabulary. ``position`` is behind the batch that came last: a source that is opened there goes on with the next.
    """

    vocabulary: TextVocabulary
    unknown: int

    @property
    def leftover(self) -> int:
        """See above."""
        ...

    @property
    def position(self) -> Position:
        """See above."""
        ...

    def __aiter__(self) -> AsyncGenerator[SequenceBatch, None]: ...


def given_vocabulary(wanted: str | TextVocabulary, encoding: str | None) -> TextVocabulary | None:
    """The vocabulary that is known before the text is; None for ``"chars"``, which has to be learned."""
    if wanted == "bytes":
        return ByteVocabulary(encoding)
    return None if isinstance(wanted, str) else wanted


def make_decoder(vocabulary: TextVocabulary | None, encoding: str | None) -> Decoder[str] | Decoder[bytes]:
    """What brings the symbols that `vocabulary` encodes, or characters where it has to be learned."""
    return ByteDecoder() if isinstance(vocabulary, ByteVocabulary) else TextDecoder(encoding or "utf-8")


def count_unknown(vocabulary: TextVocabulary, tokens: Array) -> int:
    """How many of `tokens` stand for symbols that are none of the vocabulary."""
    return int(np.count_nonzero(tokens == 0)) if isinstance(vocabulary, CharVocabulary) else 0
