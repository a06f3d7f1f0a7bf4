"""The formats of records by their names, and which of them a file is in by its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from ...core.base.checks import ArgumentError
from ..sources.source import Chunk
from .block import Block
from .csv_lines import CsvLines
from .fields import Fields
from .json_lines import JsonLines
from .options import RecordOptions
from .raw import RawBlocks

__all__ = ["FORMATS", "Format", "RecordDecoder", "format_of", "open_decoder"]


class RecordDecoder(Protocol):
    """A `Decoder` of bytes to blocks of records, and what it has seen."""

    @property
    def seen(self) -> list[str]:
        """Names of fields that records have or had, up to 50."""
        ...

    @property
    def begins_again(self) -> bool:
        """Whether one that loads what this dumps has to be fed from the start of the source, as gzip has to be."""
        ...

    @property
    def is_long(self) -> bool:
        """Whether the record that is not complete is longer than one may be."""
        ...

    def feed(self, chunk: Chunk) -> Block:
        """See `Decoder`."""
        ...

    def finish(self) -> Block:
        """See `Decoder`."""
        ...

    def abandon(self) -> Block:
        """What there is where the source broke off: what has no end is rejected."""
        ...

    def dump(self) -> Mapping[str, int | str]:
        """See `Decoder`."""
        ...

    def load(self, state: Mapping[str, int | str]) -> None:
        """See `Decoder`."""
        ...


class Format(NamedTuple):
    """What makes a decoder of a format, and how the names of its files end."""

    make: Callable[[Fields, RecordOptions], RecordDecoder]
    suffixes: tuple[str, ...]


FORMATS: dict[str, Format] = {
    "jsonl": Format(JsonLines, (".jsonl", ".ndjson", ".json")),
    "csv": Format(CsvLines, (".csv",)),
    "tsv": Format(partial(CsvLines, tabs=True), (".tsv", ".tab")),
    "raw": Format(RawBlocks, (".bin", ".raw")),
}
"""By their names; a further one is a further row."""


def open_decoder(form: str, fields: Fields, options: RecordOptions | None = None) -> RecordDecoder:
    """A decoder of the format `form`. Raises ArgumentError, also where the options cannot be used."""
    if form not in FORMATS:
        raise ArgumentError("format", f"one of {', '.join(FORMATS)}", repr(form))
    return FORMATS[form].make(fields, RecordOptions() if options is None else options)


def format_of(path: str) -> str:
    """The format of the file at `path` by how its name ends, compressed by gzip or not; jsonl for any other."""
    name = path.lower().removesuffix(".gz")
    return next((form for form, (_, suffixes) in FORMATS.items() if name.endswith(suffixes)), "jsonl")
