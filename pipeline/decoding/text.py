"""Bytes to text, in any of Python's encodings, and what is plainly something else."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from ...core.base.checks import ArgumentError
from ..sources.source import Chunk, SourceError

__all__ = ["ByteDecoder", "TextDecoder", "check_encoding"]

# What no text begins with: what it is, and the way out.
COMPRESSED = {
    b"\x1f\x8b\x08": ("compressed by gzip", "zcat FILE | recurrio train -"),
    b"BZh": ("compressed by bzip2", "bzcat FILE | recurrio train -"),
    b"\xfd7zXZ\x00": ("compressed by xz", "xzcat FILE | recurrio train -"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "zstdcat FILE | recurrio train -"),
    b"PK\x03\x04": ("a zip archive", "unzip -p FILE | recurrio train -"),
}
# The byte-order marks of what is not UTF-8.
OTHER_MARKS = {
    codecs.BOM_UTF32_LE: ("UTF-32", "--encoding utf-32"),
    codecs.BOM_UTF32_BE: ("UTF-32", "--encoding utf-32"),
    codecs.BOM_UTF16_LE: ("UTF-16", "--encoding utf-16"),
    codecs.BOM_UTF16_BE: ("UTF-16", "--encoding utf-16"),
}
# What these begin with, or they do not say their byte order.
ORDERS = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
UNITS = 8  # so many letters with a zero byte each are UTF-16 without a mark


def check_encoding(encoding: str) -> None:
    """Raise ArgumentError unless `encoding` is the name of a text encoding of Python's."""
    try:
        codecs.getincrementaldecoder(encoding)
        b"a\n".decode(encoding, "replace")  # refuses what is no encoding of text, as zlib
    except (LookupError, TypeError, ValueError):
        expected = "a text encoding of Python's, as utf-8 or latin-1"
        raise ArgumentError("encoding", expected, repr(encoding)) from None


class TextDecoder:
    """A `Decoder` of bytes in `encoding` to characters. A byte-order mark at the start is not one of them."""

    def __init__(self, encoding: str = "utf-8") -> None:
        check_encoding(encoding)
        self.encoding = codecs.lookup(encoding).name
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._origin = ""
        self._offset = 0  # bytes fed so far
        self._head: bytes | None = b""  # while it may be the beginning of a mark; None from then on
        self._error: SourceError | None = None  # behind what has come out
        self._marks = dict(COMPRESSED)
        if self.encoding == "utf-8":
            self._marks |= OTHER_MARKS
        # The codecs that write a mark take it away themselves.
        self._own_mark = b"" if "".encode(encoding) else "\ufeff".encode(encoding, "ignore")

    def feed(self, chunk: Chunk) -> str:
        """See `Decoder`."""
        self._origin = chunk.origin
        return self._feed(chunk.data, final=False)

    def finish(self) -> str:
        """See `Decoder`."""
        text = self._feed(b"", final=True)
        if self._error is not None:
            raise self._error
        return text

    def _feed(self, data: bytes, *, final: bool) -> str:
        if self._error is not None:
            raise self._error
        self._offset += len(data)
        if self._head is not None:
            self._head += data
            if not final and self._may_begin_a_mark(self._head):
                return ""
            self._refuse(self._head)
            data, self._head = self._head.removeprefix(self._own_mark), None
        return self._decode(data, final=final)

    def _decode(self, data: bytes, *, final: bool) -> str:
        before = self._decoder.getstate()
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            unread = len(before[0])
            place, value = self._offset - len(data) - unread + error.start, error.object[error.start]
            name = "UTF-8" if self.encoding == "utf-8" else self.encoding
            other = ", --encoding latin-1 (or what it is in) reads it as text" if name == "UTF-8" else ""
            self._error = SourceError(
                f"{self._origin}: byte 0x{value:02x} at offset {place} is not {name}; "
                f"--vocabulary bytes takes any file{other}"
            )
            if error.start <= unread:
                return ""
            self._decoder.setstate(before)
            return self._decoder.decode(error.object[unread : error.start])
        except UnicodeError as error:  # a codec that does not say where
            self._error = SourceError(f"{self._origin}: {error}, so this is not {self.encoding}")
            return ""

    def _may_begin_a_mark(self, head: bytes) -> bool:
        marks = (*self._marks, self._own_mark, *ORDERS.get(self.encoding, ()))
        return any(len(mark) > len(head) and mark.startswith(head) for mark in marks) or (
            self.encoding == "utf-8" and len(head) < 2 * UNITS and _wide(head) is not None
        )

    def _refuse(self, head: bytes) -> None:
        found = next((about for mark, about in self._marks.items() if head.startswith(mark)), None)
        if self.encoding == "utf-8" and len(head) >= 2 * UNITS and (order := _wide(head)) is not None:
            found = "UTF-16", f"--encoding utf-16-{order}"
        if head and not head.startswith(ORDERS.get(self.encoding, b"")):
            ways = f"--encoding {self.encoding}-le or {self.encoding}-be"
            raise SourceError(f"{self._origin}: no byte-order mark at the start, so use {ways}")
        if found is not None:
            what, way = found
            raise SourceError(f"{self._origin}: this is {what}, not text in {self.encoding}; use {way}")

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        pending, flags = (self._head, 0) if self._head is not None else self._decoder.getstate()
        return {"offset": self._offset, "pending": pending.hex(), "flags": flags}

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""
        self._offset, pending = int(state["offset"]), bytes.fromhex(str(state["pending"]))
        self._error = None
        self._decoder.reset()
        self._head = pending if self._offset == len(pending) else None
        if self._head is None:
            self._decoder.setstate((pending, int(state["flags"])))


class ByteDecoder:
    """A `Decoder` that takes bytes as they are."""

    def feed(self, chunk: Chunk) -> bytes:
        """See `Decoder`."""
        return chunk.data

    def finish(self) -> bytes:
        """See `Decoder`."""
        return b""

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        return {}

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""


def _wide(head: bytes) -> str | None:
    """The byte order, ``"le"`` or ``"be"``, if `head` may be letters of 16 bits: every second byte is zero."""
    head = head[: 2 * UNITS]
    for order, letters, zeros in (("le", head[::2], head[1::2]), ("be", head[1::2], head[::2])):
        if all(letters) and not any(zeros):
            return order
    return None
