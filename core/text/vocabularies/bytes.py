"""The vocabulary of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np

from ...base.parameters import Array

__all__ = ["ByteVocabulary"]


class ByteVocabulary:
    """The 256 byte values. `encoding` is what the bytes are as text, where that is known."""

    kind: ClassVar[str] = "bytes"

    def __init__(self, encoding: str | None = None) -> None:
        self.encoding = encoding

    def __len__(self) -> int:
        return 256

    @property
    def config(self) -> dict[str, Any]:
        """See `Vocabulary`."""
        return {} if self.encoding is None else {"encoding": self.encoding}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ByteVocabulary:
        """See `Vocabulary`."""
        return cls(config.get("encoding"))

    @classmethod
    def learn(cls, texts: Iterable[str]) -> ByteVocabulary:
        """The bytes, whatever the `texts`, which are UTF-8."""
        return cls("utf-8")

    def encode(self, text: str | bytes) -> Array:
        """The bytes of `text`, in the encoding, or UTF-8, where it is a string. Raises UnicodeEncodeError."""
        data = text.encode(self.encoding or "utf-8", "surrogateescape") if isinstance(text, str) else text
        return np.frombuffer(data, np.uint8).astype(np.int32)

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, in the encoding, or UTF-8; bytes that are none become U+FFFD."""
        return bytes(tokens).decode(self.encoding or "utf-8", "replace")
