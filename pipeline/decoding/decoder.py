"""What a decoder is: bytes in, cut anywhere; what they mean out, as far as it is complete."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from ..sources.source import Chunk

__all__ = ["Decoder"]

Out = TypeVar("Out", covariant=True)


class Decoder(Protocol[Out]):
    """Turns the successive chunks of one source into `Out`, and keeps what is not complete yet.

    What comes out in all is a function of the bytes, not of how they were cut. So is where an error is raised: what
    stands before the bytes that are at fault has come out by then.
    """

    def feed(self, chunk: Chunk) -> Out:
        """What ends in `chunk`. Raises SourceError where the bytes before it were at fault, or its own begin so."""
        ...

    def finish(self) -> Out:
        """What the end of the source completes. Raises SourceError."""
        ...

    def dump(self) -> Mapping[str, int | str]:
        """What it keeps, as JSON."""
        ...

    def load(self, state: Mapping[str, int | str]) -> None:
        """Go on from what `dump` gave."""
        ...
