"""Bytes to lines: cut anywhere in, whole lines out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..sources.source import SourceError

__all__ = ["LONGEST", "LineSplitter", "Lines"]

LONGEST = 1 << 20  # bytes of a line
HEAD = 500  # bytes that are kept of a longer one
MARK = b"\xef\xbb\xbf"
UTF16 = "UTF-16, not UTF-8; use iconv -f utf-16 -t utf-8 FILE | recurrio train -"
# What no lines begin with.
OTHERS = {
    b"\xff\xfe\x00\x00": "UTF-32, not UTF-8; use iconv -f utf-32 -t utf-8 FILE | recurrio train -",
    b"\xff\xfe": UTF16,
    b"\xfe\xff": UTF16,
    b"BZh91AY&SY": "compressed by bzip2; use bzcat FILE | recurrio train -",
    b"\xfd7zXZ\x00": "compressed by xz; use xzcat FILE | recurrio train -",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; use zstdcat FILE | recurrio train -",
    b"PK\x03\x04": "a zip archive; use unzip -p FILE | recurrio train -",
}
WIDE = 16  # bytes of which every second is zero are UTF-16 without a mark


class Lines(NamedTuple):
    """Successive whole lines without their ``\\n``; the first has the number `first`, from 1.

    A line that is too long is empty here, and its beginning stands in `long`, by its number.
    """

    first: int
    lines: list[bytes]
    long: dict[int, bytes]


class LineSplitter:
    """Splits at ``\\n``, and keeps what is not a whole line yet, but not more than the longest that a line may be.

    A byte-order mark at the start is not data, nor are zeros at the start of a line, as a log has them that was
    truncated under its writer.
    """

    def __init__(self) -> None:
        self._next = 1  # the number of the line that is not complete
        self._partial = bytearray()  # what there is of it; its beginning once it is too long
        self._long = False
        self._begun = False  # the start of the source is behind

    def feed(self, data: bytes) -> Lines:
        """The lines that end in `data`. Raises SourceError, without the source's name, where these are no lines."""
        if not self._begun:
            data = bytes(self._partial) + data
            if _may_begin_a_mark(data):
                self._partial = bytearray(data)
                return Lines(self._next, [], {})
            data = self._begin(data)
        return self._split(data)

    def finish(self) -> Lines:
        """The last line, which needs no end."""
        if not self._begun:
            data = self._begin(bytes(self._partial))
            return self._split(data + b"\n" if data else data)
        return self._split(b"\n") if self._partial else Lines(self._next, [], {})

    @property
    def is_long(self) -> bool:
        """Whether the line that is not complete is longer than one may be already."""
        return self._long

    def abandon(self) -> tuple[int, bytes]:
        """The number of the last line, and what there is of it, where it will never end."""
        rest = bytes(self._partial)
        self._partial.clear()
        self._long = False
        return self._next, rest

    def dump(self) -> Mapping[str, int | str]:
        """What it keeps, as JSON."""
        partial = self._partial.decode("latin-1")
        return {"line": self._next, "partial": partial, "long": int(self._long), "begun": int(self._begun)}

    def load(self, state: Mapping[str, int | str]) -> None:
        """Go on from what `dump` gave."""
        self._next, self._partial = int(state["line"]), bytearray(str(state["partial"]).encode("latin-1"))
        self._long, self._begun = bool(state["long"]), bool(state["begun"])

    def _begin(self, data: bytes) -> bytes:
        for mark, what in OTHERS.items():
            if data.startswith(mark):
                raise SourceError(f"this is {what}")
        if len(data) >= WIDE and _wide(data):
            raise SourceError(f"this is {UTF16}")
        self._begun, self._partial = True, bytearray()
        return data.removeprefix(MARK)

    def _split(self, data: bytes) -> Lines:
        first, long = self._next, {}
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines:
            self._keep(lines[0])
            lines[0] = b"" if self._long else bytes(self._partial)
            if self._long:
                long[first] = bytes(self._partial)
            self._partial.clear()
            self._long = False
            self._next += len(lines)
            if b"\0" in data:
                lines = [line.lstrip(b"\0") for line in lines]
            if len(data) > LONGEST:
                for index, line in enumerate(lines):
                    if len(line) > LONGEST:
                        long[first + index], lines[index] = line[:HEAD], b""
        self._keep(rest)
        return Lines(first, lines, long)

    def _keep(self, data: bytes) -> None:
        if not self._partial:
            data = data.lstrip(b"\0")
        if not self._long:
            self._partial += data
            if len(self._partial) > LONGEST:
                del self._partial[HEAD:]
                self._long = True


def _may_begin_a_mark(data: bytes) -> bool:
    marks = any(len(mark) > len(data) and mark.startswith(data) for mark in (*OTHERS, MARK))
    return marks or (len(data) < WIDE and _wide(data))


def _wide(data: bytes) -> bool:
    """Whether `data` may be letters of 16 bits: every second byte, and no other, is zero."""
    even, odd = data[:WIDE:2], data[1:WIDE:2]
    return (all(even) and not any(odd)) or (all(odd) and not any(even))
