"""The interface of a vocabulary: the map between the symbols of a text and tokens ``0…V−1``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from ...base.parameters import Array

__all__ = ["UNKNOWN", "Vocabulary"]

UNKNOWN = "\ufffd"  # what stands for a symbol that is none of the vocabulary, where that has token 0


class Vocabulary(Protocol):
    """One kind of symbols, and those of them that have a token. Another kind is one file, and one row in the table."""

    kind: ClassVar[str]

    def __len__(self) -> int: ...

    @property
    def config(self) -> dict[str, Any]:
        """All that it is made of, as JSON."""
        ...

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that has this ``config``. Raises KeyError, TypeError or ValueError where it is none."""
        ...

    @classmethod
    def learn(cls, texts: Iterable[str]) -> Vocabulary:
        """The vocabulary of the symbols in `texts`."""
        ...

    def encode(self, text: str) -> Array:
        """The tokens ``(T,)`` int32 of `text`."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`."""
        ...
