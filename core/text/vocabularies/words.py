"""The vocabulary of words, and the rule that cuts a text into them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ...base.checks import ArgumentError, check_count
from ...base.parameters import Array
from .vocabulary import UNKNOWN

__all__ = ["WordVocabulary", "words_of"]

SYMBOL = re.compile(r"\w+'(?=\w)|\w+|[^\w\s]")
NO_SPACE_BEFORE, NO_SPACE_BEHIND = frozenset(".,;:!?)]}%…-"), frozenset("([{-")


def words_of(text: str) -> list[str]:
    """The words and marks of `text`, in its order.

    The text is in lower case, in Unicode's composed form (NFC), and its ``’`` are ``'``. A word is a run of letters,
    digits and underscores; an apostrophe between two of them belongs to the first: ``don't`` is ``don'`` and ``t``,
    ``l'eau`` is ``l'`` and ``eau``. Any other character that is no space is a symbol by itself.
    """
    return SYMBOL.findall(unicodedata.normalize("NFC", text).lower().replace("\u2019", "'"))


class WordVocabulary:
    """Words and marks by `words_of`, in the order given, behind token 0, which stands for any other.

    `words` are each there once. Raises ArgumentError.
    """

    kind: ClassVar[str] = "words"

    def __init__(self, words: Iterable[str]) -> None:
        self.words = (UNKNOWN, *words)
        self._tokens = {word: token for token, word in enumerate(self.words)}
        if len(self._tokens) < len(self.words):
            raise ArgumentError("words", "each word once, and no stand-in for others", f"{len(self.words) - 1} words")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def config(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {"words": list(self.words[1:])}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> WordVocabulary:
        """See `Vocabulary`."""
        return cls(config["words"])

    @classmethod
    def learn(cls, texts: Iterable[str], least: int = 2) -> WordVocabulary:
        """That of the words which `texts` have at least `least` times, the most frequent first, equals by code points.

        Raises ArgumentError.
        """
        least = check_count("least", least)
        counts = Counter(word for text in texts for word in words_of(text))
        counts.pop(UNKNOWN, None)
        kept = [word for word, count in counts.items() if count >= least]
        return cls(sorted(kept, key=lambda word: (-counts[word], word)))

    def encode(self, text: str) -> Array:
        """The tokens ``(T,)`` of the words of `text`."""
        return np.array([self._tokens.get(word, 0) for word in words_of(text)], np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The words of `tokens`, with spaces between them as a text has them, but around quotes."""
        text, before = "", ""
        for token in tokens:
            word = self.words[token]
            glued = word in NO_SPACE_BEFORE or before in NO_SPACE_BEHIND or (len(before) > 1 and before[-1] == "'")
            text += word if glued or not text else f" {word}"
            before = word
        return text
