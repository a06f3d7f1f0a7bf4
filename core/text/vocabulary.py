"""Vocabularies: the one-to-one map between the symbols of a text and tokens ``0…V−1``."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..base.parameters import Array

__all__ = ["UNKNOWN", "ByteVocabulary", "CharVocabulary", "Vocabulary"]

UNKNOWN = "\ufffd"


class CharVocabulary:
    """Characters in the order of their code points, behind token 0, which stands for any other character."""

    kind = "chars"

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = UNKNOWN + "".join(sorted(set(characters) - {UNKNOWN}))
        self._codes = np.frombuffer(self.characters[1:].encode("utf-32-le", "surrogatepass"), np.uint32)
        self._ascii = self.encode_codes(np.arange(128, dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Array:
        """The tokens ``(len(text),)`` of `text`."""
        if text.isascii():
            return self._ascii[np.frombuffer(text.encode("ascii"), np.uint8)]
        return self.encode_codes(np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32))

    def encode_codes(self, codes: Array) -> Array:
        """The tokens of the characters with these code points."""
        if not len(self._codes):
            return np.zeros(len(codes), np.int32)
        place = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
        return np.where(self._codes[place] == codes, place + 1, 0).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`."""
        return "".join(self.characters[token] for token in tokens)


class ByteVocabulary:
    """The 256 byte values. `encoding` is what the bytes are as text, where that is known."""

    kind = "bytes"

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = encoding

    def __len__(self) -> int:
        return 256

    def encode(self, text: str | bytes) -> Array:
        """The bytes of `text`, in the encoding, or UTF-8, where it is a string. Raises UnicodeEncodeError."""
        data = text.encode(self.encoding or "utf-8", "surrogateescape") if isinstance(text, str) else text
        return np.frombuffer(data, np.uint8).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, in the encoding, or UTF-8; bytes that are none become U+FFFD."""
        return bytes(tokens).decode(self.encoding or "utf-8", "replace")


Vocabulary = CharVocabulary | ByteVocabulary
