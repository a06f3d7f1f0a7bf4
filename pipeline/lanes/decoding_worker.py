"""A process that decodes records and finds the rows of their keys, so that another can train meanwhile.

Its standard input begins with what it is to do, as JSON with its length in front. All that follows are the bytes that
are to be decoded. Whenever some have come it writes a message, with its length in front: what ended there; the last one
says so.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ...core.base.parameters import Array
from ...core.online.schema import Schema
from ..decoding.block import Block, Reject
from ..decoding.formats import open_decoder
from ..decoding.options import RecordOptions
from ..flow.worker_process import end_with
from ..sources import Chunk, SourceError
from .key_table import KeyTable, Located

__all__ = ["LENGTH", "START", "LocatedBlock", "decode_answer", "worker"]

LENGTH = struct.Struct("<I")
CHUNK = 1 << 19  # bytes at most
START = "from recurrio.pipeline.lanes.decoding_worker import worker; worker()"
MESSAGES = msgspec.msgpack.Encoder()


class LocatedBlock(NamedTuple):
    """A block without its keys, the rows that these have, and the names of fields that have been seen."""

    block: Block
    located: list[Located]
    seen: list[str]


def worker() -> None:
    """The main function of the process. Its words are where it writes to, and its parent."""
    out, parent = map(int, sys.argv[1:])
    end_with(parent)
    os.write(out, b"r")
    head = _exactly(LENGTH.size)
    start = None if head is None else _exactly(LENGTH.unpack(head)[0])
    if start is None:
        return
    setup: dict[str, Any] = json.loads(start)
    options = RecordOptions(**{name: _frozen(value) for name, value in setup["options"].items()})
    decoder = open_decoder(setup["format"], Schema.of(**setup["schema"]), options)
    decoder.load(setup["decoder"])
    table = KeyTable(setup["keys"], setup["shards"])
    table.load(setup["table"])
    data = b"\n"  # anything
    while data:
        data = os.read(0, CHUNK)
        try:
            block = decoder.feed(Chunk(data, setup["origin"], {})) if data else decoder.finish()
            located = [*table.locate(block.keys, block.size)] if block.size else []
            answer = _answer(block, located, decoder.seen, last=not data)
        except SourceError as error:
            answer = MESSAGES.encode({"error": str(error)})
        _write(out, answer)


def _frozen(value: Any) -> Any:  # noqa: ANN401 (what JSON has)
    return tuple(value) if isinstance(value, list) else value


def _exactly(size: int) -> bytes | None:
    """So many bytes; None where the parent has gone."""
    parts = []
    while size:
        part = os.read(0, size)
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write(out: int, message: bytes) -> None:
    rest = memoryview(LENGTH.pack(len(message)) + message)
    while rest:
        rest = rest[os.write(out, rest) :]


def _answer(block: Block, located: list[Located], seen: list[str], *, last: bool) -> bytes:
    return MESSAGES.encode(
        {
            "size": block.size,
            "numbers": block.numbers.tobytes(),
            "categories": block.categories,
            "labels": block.labels,
            "times": None if block.times is None else block.times.tobytes(),
            "rejects": [tuple(reject) for reject in block.rejects],
            "located": [(part.stop, part.rows.tobytes(), part.new, part.going.tobytes()) for part in located],
            "seen": seen,
            "last": last,
        }
    )


def decode_answer(message: bytes | memoryview, columns: int) -> tuple[LocatedBlock, bool]:
    """What the process has answered, of records with so many numbers, and whether it is the last answer.

    Raises SourceError where it met one.
    """
    answer: Mapping[str, Any] = msgspec.msgpack.decode(message)
    if "error" in answer:
        raise SourceError(answer["error"])
    block = Block(
        answer["size"],
        np.frombuffer(answer["numbers"]).reshape(answer["size"], columns),
        answer["categories"],
        answer["labels"],
        None,
        None if answer["times"] is None else np.frombuffer(answer["times"]),
        [Reject(*reject) for reject in answer["rejects"]],
    )
    located = [Located(stop, _rows(rows), new, _rows(going)) for stop, rows, new, going in answer["located"]]
    return LocatedBlock(block, located, answer["seen"]), answer["last"]


def _rows(data: bytes) -> Array:
    return np.frombuffer(data, np.int64)
