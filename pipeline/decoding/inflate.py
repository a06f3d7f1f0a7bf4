"""gzip on the fly: bytes that begin so are read whole, all members; any others are passed on as they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from ..sources.source import SourceError

__all__ = ["Inflater"]

MAGIC = b"\x1f\x8b\x08"
STEP = 1 << 20  # bytes that come out at once


class Inflater:
    """Bytes cut anywhere in, at most a mebibyte at a time out.

    A gzip stream cannot be gone on with in its middle: behind `load`, one that `begins_again` is fed from the start of
    its source, and drops what has come out before.
    """

    def __init__(self) -> None:
        self._head: bytes | None = b""  # while it may be the beginning of the mark; None from then on
        self._gzip = False  # also of one that has loaded that it was
        self._member: zlib._Decompress | None = None  # that is not complete
        self._out = 0  # bytes that have come out of gzip
        self._drop = 0  # of those, what had come out before

    @property
    def begins_again(self) -> bool:
        """Whether one that loads what this dumps has to be fed from the start of the source."""
        return self._gzip

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` completes. Raises SourceError, without the source's name, behind what stands before the fault."""
        if self._head is not None:
            data = self._head + data
            if len(data) < len(MAGIC) and MAGIC.startswith(data):
                self._head = data
                return
            if self._gzip and not data.startswith(MAGIC):
                raise SourceError("this was gzip data before, and is not now")
            self._gzip, self._head = data.startswith(MAGIC), None
        if not self._gzip:
            yield data
            return
        for piece in self._inflate(data):
            self._out += len(piece)
            kept = piece[self._drop :]
            self._drop -= len(piece) - len(kept)
            if kept:
                yield kept

    def finish(self) -> bytes:
        """What is left. Raises SourceError where the data ends before a member does."""
        if self._member is not None or self._drop:
            raise SourceError("the gzip data ends in its middle, so this file is cut short")
        head, self._head = self._head or b"", None
        return head

    def dump(self) -> Mapping[str, int | str]:
        """What it keeps, as JSON."""
        if self.begins_again:
            return {"inflated": self._out + self._drop}
        return {} if self._head is None else {"mark": self._head.decode("latin-1")}

    def load(self, state: Mapping[str, int | str]) -> None:
        """Go on from what `dump` gave."""
        self.__init__()  # type: ignore[misc]
        if "inflated" in state:
            self._gzip, self._drop = True, int(state["inflated"])
        else:
            self._head = str(state["mark"]).encode("latin-1") if "mark" in state else None

    def _inflate(self, data: bytes) -> Iterator[bytes]:
        full = False  # more may come out without more going in
        while data or full:
            if self._member is None:
                data, full = data.lstrip(b"\0"), False  # padding between the members
                if not data:
                    return
                self._member = zlib.decompressobj(wbits=31)
            before = self._member.copy()
            try:
                piece = self._member.decompress(data, STEP)
            except zlib.error as error:
                yield from _to_the_fault(before, data)
                raise SourceError(f"the gzip data is broken: {error}") from None
            full = len(piece) == STEP
            data = self._member.unconsumed_tail
            if self._member.eof:
                data, self._member, full = self._member.unused_data, None, False
            yield piece


def _to_the_fault(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What comes out before the byte of `data` that is at fault, which does not depend on how it was cut."""
    for place in range(len(data)):
        try:
            yield member.decompress(data[place : place + 1])
        except zlib.error:
            return
