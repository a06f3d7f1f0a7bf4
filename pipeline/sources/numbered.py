"""Producers that number their lines, and wait until these are safe: the protocol, line by line.

A producer that wants it begins a connection with ``RECURRIO-ACK name``. It is answered ``LAST n``: the number of the
last of its lines that is safe, 0 if none is. From there on its lines are ``n``, a tab, and the record; the numbers are
whole and go up. When a line is on the disk, and all before it, the answer is ``ACK n``, which may stand for many lines.
What is not acknowledged is to be sent again, over another connection too: a line that had come already is dropped, and
acknowledged. Where a line is none of these, the answer is ``ERR``, and why, and the connection is closed.
"""

from __future__ import annotations

import json
from typing import NamedTuple

__all__ = ["MAGIC", "Numbered", "NumberedLines", "Producers"]

MAGIC = b"RECURRIO-ACK "
LONGEST_NAME = 200
LONGEST = (1 << 20) + 1024  # bytes of a line


class Producers:
    """The number of the last line of each producer that has come, and of the last that is safe.

    The lines of one are one stream, over whatever connections they come, and in whatever process; its number is below
    0, as those of connections are not.
    """

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self.came: dict[str, int] = {}
        self.safe: dict[str, int] = {}
        self.duplicates = 0

    def stream(self, producer: str) -> int:
        """The number of the stream of a producer."""
        return self._streams.setdefault(producer, -1 - len(self._streams))

    def load(self, said: str) -> None:
        """What `dump` gave is safe, as a journal says. Raises ValueError."""
        for producer, number in json.loads(said):
            self.stream(producer)
            self.came[producer] = self.safe[producer] = int(number)

    def dump(self) -> str:
        """The numbers that have come, as JSON, in the order in which the producers did."""
        return json.dumps([[producer, self.came.get(producer, 0)] for producer in self._streams])


class Numbered(NamedTuple):
    """Lines that are new, without their numbers, and the number of the last one of all; or what is wrong."""

    data: bytes
    number: int
    error: str


class NumberedLines:
    """The lines of one connection of a producer."""

    def __init__(self, producers: Producers) -> None:
        self._producers, self.name = producers, ""
        self._partial = bytearray()

    def begin(self, data: bytes) -> tuple[bytes, bytes | None]:
        """What is to be answered to the first line, where it is complete, and what has come behind it; None: wait."""
        self._partial += data
        line, end, rest = bytes(self._partial).partition(b"\n")
        if not end:
            too_long = len(line) > len(MAGIC) + 4 * LONGEST_NAME
            return (b"ERR the name is too long\n", b"") if too_long else (b"", None)
        self._partial.clear()
        name = line.removeprefix(MAGIC).rstrip(b"\r").decode("utf-8", "replace").strip()
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            return b"ERR expected a name\n", b""
        self.name = name
        return b"LAST %d\n" % self._producers.safe.get(name, 0), rest

    def feed(self, data: bytes) -> Numbered:
        """The whole lines that there are by now."""
        self._partial += data
        *lines, rest = bytes(self._partial).split(b"\n")
        self._partial = bytearray(rest)
        last, new, error = self._producers.came.get(self.name, 0), list[bytes](), ""
        for line in lines:
            digits, tab, record = line.partition(b"\t")
            if not tab or not digits.isdigit() or not digits.isascii() or len(digits) > 18 or not int(digits):
                error = "expected a number from 1, a tab and a record"
                break
            if (number := int(digits)) <= last:
                self._producers.duplicates += 1
                continue
            last = number
            new.append(record + b"\n")
        if not error and len(rest) > LONGEST:
            error = "the line is too long"
        self._producers.came[self.name] = last
        return Numbered(b"".join(new), last, error)

    def settle(self, number: int) -> None:
        """All lines up to this number are safe."""
        self._producers.safe[self.name] = max(number, self._producers.safe.get(self.name, 0))

    @property
    def safe(self) -> int:
        """The number up to which all lines are safe."""
        return self._producers.safe.get(self.name, 0)
