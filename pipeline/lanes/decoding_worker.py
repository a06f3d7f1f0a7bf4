"""A process that decodes records and finds the rows of their keys, so that another can train meanwhile.

On its standard input come messages of two parts, with their lengths in front: the first one says what is to be done, as
JSON; each of the others is a chunk, what it is and its data. Whenever some have come it writes a message, with its
length in front: what ended there; the last one says so.
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
from ..decoding.block import Block, Reject
from ..decoding.columns import concatenate
from ..decoding.fields import Fields
from ..decoding.options import RecordOptions
from ..decoding.streams import StreamDecoders
from ..flow.worker_process import end_with
from ..sources import Chunk, SourceError, Streams
from .key_table import KeyTable, Located

__all__ = ["LENGTH", "LENGTHS", "MESSAGES", "START", "LocatedBlock", "decode_answer", "worker"]

LENGTH = struct.Struct("<I")
LENGTHS = struct.Struct("<II")
READ = 1 << 19  # bytes at most
START = "from recurrio.pipeline.lanes.decoding_worker import worker; worker()"
MESSAGES = msgspec.msgpack.Encoder()


class LocatedBlock(NamedTuple):
    """A block without its keys, the rows that these have, names of fields, and streams that were refused.

    ``where`` is where its source is behind it, see `BlockSource`; None where it cannot go back.
    """

    block: Block
    located: list[Located]
    seen: list[str]
    refused: list[int]
    where: Any
    taken: int  # bytes of the chunks that it was made of


class _Messages:
    """The messages that come in at a file descriptor, each of two parts."""

    def __init__(self, fd: int) -> None:
        self._fd, self._buffer = fd, bytearray()

    def read(self) -> list[tuple[bytes, bytes]]:
        """Those that are complete, at least one; none at the end."""
        while True:
            data = os.read(self._fd, READ)
            if not data:
                return []
            self._buffer += data
            found, start = [], 0
            whole = memoryview(self._buffer)
            while (begin := start + LENGTHS.size) <= len(whole):
                head, rest = LENGTHS.unpack_from(whole, start)
                middle = begin + head
                if middle + rest > len(whole):
                    break
                found.append((bytes(whole[begin:middle]), bytes(whole[middle : middle + rest])))
                start = middle + rest
            whole.release()
            if found:
                del self._buffer[:start]
                return found


class _Stored:
    """The files that have what came, the last of which stays open."""

    def __init__(self) -> None:
        self._path, self._fd = "", -1

    def read(self, place: tuple[str, int], size: int) -> bytes:
        """So many bytes of a file from a byte on. Raises SourceError."""
        path, start = place
        try:
            if path != self._path:
                if self._fd >= 0:
                    os.close(self._fd)
                self._path, self._fd = path, os.open(path, os.O_RDONLY)
            data = os.pread(self._fd, size, start)
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None
        if len(data) < size:
            raise SourceError(f"{path}: has become shorter")
        return data


def worker() -> None:
    """The main function of the process. Its words are where it writes to, and its parent."""
    out, parent = map(int, sys.argv[1:])
    end_with(parent)
    os.write(out, b"r")
    incoming = _Messages(0)
    messages = incoming.read()
    if not messages:
        return
    setup: dict[str, Any] = json.loads(messages.pop(0)[0])
    fields, options = Fields(**_frozen(setup["fields"])), RecordOptions(**_frozen(setup["options"]))
    decoders = StreamDecoders(setup["format"], fields, options, Streams(setup["streams"]))
    decoders.load(setup["decoders"])
    table = KeyTable(setup["keys"], setup["shards"])
    table.load(**setup["table"])
    last, where, stored = False, None, _Stored()
    while not last:
        messages = messages or incoming.read()
        last, blocks, error, taken = not messages, list[Block](), "", 0
        try:
            for head, data in messages:
                origin, stream, ends, came, after, size, place = msgspec.msgpack.decode(head)
                data = data if place is None else stored.read(place, size)
                taken += size
                blocks.append(decoders.feed(Chunk(data, origin, {}, stream, ends))._replace(came=came))
                where = None if after is None else {"transport": after}
            if last:
                blocks.append(decoders.finish())
        except SourceError as problem:
            error = str(problem)
        messages = []
        if blocks:
            block = concatenate(blocks)._replace(came=blocks[0].came)
            located = [*table.locate(block.keys, block.size)] if block.size else []
            where = where and {**where, "decoders": decoders.dump()}
            _write(out, _answer(block, located, decoders, where, taken, last=last))
        if error:
            _write(out, MESSAGES.encode({"error": error}))


def _frozen(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}


def _write(out: int, message: bytes) -> None:
    rest = memoryview(LENGTH.pack(len(message)) + message)
    while rest:
        rest = rest[os.write(out, rest) :]


def _answer(
    block: Block,
    located: list[Located],
    decoders: StreamDecoders,
    where: Any,  # noqa: ANN401 (JSON)
    taken: int,
    *,
    last: bool,
) -> bytes:
    return MESSAGES.encode(
        {
            "size": block.size,
            "numbers": block.numbers.tobytes(),
            "categories": block.categories,
            "labels": block.labels,
            "times": None if block.times is None else block.times.tobytes(),
            "came": block.came,
            "rejects": [tuple(reject) for reject in block.rejects],
            "located": [(part.stop, part.rows.tobytes(), part.new, part.going.tobytes()) for part in located],
            "seen": decoders.seen,
            "refused": decoders.take_refused(),
            "where": where,
            "taken": taken,
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
        came=answer["came"],
    )
    located = [Located(stop, _rows(rows), new, _rows(going)) for stop, rows, new, going in answer["located"]]
    more = (answer[name] for name in ("seen", "refused", "where", "taken"))
    return LocatedBlock(block, located, *more), answer["last"]


def _rows(data: bytes) -> Array:
    return np.frombuffer(data, np.int64)
