"""UTF-8 bytes to text, block by block, with the place of the first byte that is none."""

from __future__ import annotations

import codecs

from .errors import SourceError

__all__ = ["Utf8Decoder"]


class Utf8Decoder:
    """Decodes successive blocks of one text; a character may stand across two of them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.position = 0  # bytes taken in so far

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """The characters that end in `data`. Raises SourceError at the first byte that is no UTF-8."""
        before = self.position - len(self._decoder.getstate()[0])
        self.position += len(data)
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            place, value = before + error.start, error.object[error.start]
            message = f"{self._name}: byte 0x{value:02x} at offset {place} is not UTF-8"
            raise SourceError(f"{message}; --vocabulary bytes takes any file") from None
