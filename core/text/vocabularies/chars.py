"""The vocabulary of characters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ...base.parameters import Array
from .vocabulary import UNKNOWN

__all__ = ["CharVocabulary"]


class CharVocabulary:
    """Characters in the order of their code points, behind token 0, which stands for any other character."""

    kind: ClassVar[str] = "chars"

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = UNKNOWN + "".join(sorted(set(characters) - {UNKNOWN}))
        self._codes = np.frombuffer(self.characters[1:].encode("utf-32-le", "surrogatepass"), np.uint32)
        self._ascii = self.encode_codes(np.arange(128, dtype=np.uint32))

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def config(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"characters": self.characters}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> CharVocabulary:
        """See `Vocabulary`."""
        return cls(config["characters"])

    @classmethod
    def learn(cls, texts: Iterable[str]) -> CharVocabulary:
        """That of all the characters in `texts`."""
        return cls(set().union(*texts))

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
