"""Bytes of records through a decoder, cut in any way, and what came out in all."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from recurrio.core.online.schema import Schema
from recurrio.pipeline import SourceError
from recurrio.pipeline.decoding.block import Block
from recurrio.pipeline.decoding.columns import concatenate
from recurrio.pipeline.decoding.fields import Fields
from recurrio.pipeline.decoding.formats import RecordDecoder, open_decoder
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.sources import Chunk

__all__ = ["SCHEMA", "Outcome", "cut", "decode", "outcome", "reloaded", "run"]

SCHEMA = Schema.of("x", "x@+1", key="k")


class Outcome(NamedTuple):
    """What came out, so that it can be compared to the bit; and the error that ended it."""

    size: int
    numbers: bytes
    shape: tuple[int, ...]
    categories: list[list[str | None]]
    labels: list[str | None] | None
    keys: list[str] | None
    times: bytes | None
    rejects: list[tuple[int, str, int, str, bytes]]
    error: str


def outcome(block: Block, error: str = "") -> Outcome:
    """What is in `block`."""
    times = None if block.times is None else block.times.tobytes()
    rejects = [tuple(reject) for reject in block.rejects]
    numbers = block.numbers.tobytes()
    shape = block.numbers.shape
    return Outcome(block.size, numbers, shape, block.categories, block.labels, block.keys, times, rejects, error)


def run(decoder: RecordDecoder, parts: Iterable[bytes]) -> tuple[Block | None, str]:
    """All that `decoder` makes of `parts`, and the error that ends it."""
    blocks, error = [], ""
    try:
        for part in parts:
            blocks.append(decoder.feed(Chunk(part, "book", {})))  # noqa: PERF401 (it may raise)
        blocks.append(decoder.finish())
    except SourceError as problem:
        error = str(problem)
    return (concatenate(blocks) if blocks else None), error


def decode(data: bytes | str, form: str = "jsonl", schema: Schema = SCHEMA, **options: object) -> Block:
    """The records of `data`, which has no fault."""
    data = data.encode() if isinstance(data, str) else data
    block, error = run(open_decoder(form, Fields.of(schema), RecordOptions(**options)), [data])  # type: ignore[arg-type]
    assert not error, error
    assert block is not None
    return block


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data`, cut at `places`."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def reloaded(decoder: RecordDecoder, other: RecordDecoder) -> RecordDecoder:
    """`other`, which goes on from what `decoder` dumps."""
    other.load(json.loads(json.dumps(dict(decoder.dump()))))
    return other
