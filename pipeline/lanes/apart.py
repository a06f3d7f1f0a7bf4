"""Records that are decoded in a process of their own, once they come so fast that it is worth it."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import trio

from ..decoding.block import Block
from ..decoding.fields import Fields
from ..decoding.options import RecordOptions
from ..flow.group import Group
from ..flow.pipes import widen
from ..flow.worker_process import WorkerError, obstacle, processors, start_worker
from ..sources import SourceError, Transport
from .blocks import DecodedBlocks, Place
from .decoding_worker import LENGTH, LENGTHS, MESSAGES, START, LocatedBlock, decode_answer
from .key_table import KeyTable

__all__ = ["ApartBlocks"]

AHEAD = 3 << 20  # bytes that the process may be behind; as much as the pipes hold otherwise
LONG = 1 << 16  # bytes of a chunk that the process reads from the file that has them
MANY, SOON = 1 << 15, 10.0  # records, and seconds: where as many come in as little time, a process is started


class ApartBlocks:
    """The records in the bytes that `transport` brings; `group` is for the task that hands them on. A `BlockSource`.

    At first they are decoded here. Where many come, a process is started, and when it is ready it takes over from the
    decoder, and from the table of keys that has been shared. What comes out is the same. A wait that is cancelled loses
    nothing.
    """

    came_from, brings_labels, left_out = 0, False, (0, 0)

    def __init__(
        self, transport: Transport, form: str, fields: Fields, options: RecordOptions | None, group: Group
    ) -> None:
        self.name, self._transport, self._fields, self._group = transport.name, transport, fields, group
        self._form, self._options = form, options or RecordOptions()
        self._here = DecodedBlocks(transport, form, fields, self._options)
        self._table: KeyTable | None = None
        self._begin, self._count = trio.current_time(), 0
        self._ended = False
        self._process: subprocess.Popen[bytes] | None = None
        self._answers, self._buffer, self._apart = -1, bytearray(), False
        self._ahead, self._room = 0, trio.Event()  # bytes that the process has not answered yet
        self._failure: SourceError | None = None
        self._where: Any = None  # behind the last block that the process has answered
        self.seen: list[str] = []

    def share(self, table: KeyTable | None) -> None:
        """The process may take over `table`, which nobody else will then use; None: there is to be no process."""
        self._table = table if processors() > 1 and obstacle() is None else None

    @property
    def anybody(self) -> bool:
        """See `BlockSource`."""
        return self._here.anybody

    @property
    def counts(self) -> list[dict[str, Any]]:
        """See `BlockSource`."""
        return self._here.counts

    async def receive(self) -> Block | LocatedBlock:
        """See `BlockSource`."""
        if self._apart:
            return await self._answer()
        if self._process is not None and self._hand_over():
            return await self._answer()
        block = await self._here.receive()
        self.seen = self._here.seen
        self._count += block.size
        if self._count >= MANY and self._process is None:
            now = trio.current_time()
            if self._table is not None and now - self._begin < SOON and not self._here.decoders.begins_again:
                self._start()
            self._begin, self._count = now, 0
        return block

    @trio.lowlevel.enable_ki_protection
    def _start(self) -> None:
        self._answers, answer = os.pipe()
        os.set_blocking(self._answers, False)
        try:
            self._process = start_worker(START, [answer], [answer])
        except OSError:  # no more processes: it goes on here
            self._table = None
            os.close(self._answers)
        finally:
            os.close(answer)

    def _hand_over(self) -> bool:
        """Let the process go on, if it is ready; where it has ended instead, all goes on here. Whether it goes on."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._table is not None
        try:
            word = os.read(self._answers, 1)
        except BlockingIOError:
            return False
        if word != b"r":
            self.close()
            self._table = None
            return False
        setup = {
            "fields": asdict(self._fields),
            "format": self._form,
            "options": asdict(self._options),
            "streams": self._transport.streams,
            "decoders": self._here.decoders.dump(),
            "keys": self._table.capacity,
            "shards": self._table.shards,
            "table": self._table.dump(),
        }
        self._where = self._here.where() if self._transport.rewindable else None
        os.set_blocking(self._process.stdin.fileno(), False)
        widen(self._process.stdin.fileno())
        widen(self._answers)
        self._apart = True
        self._group.start_background(self._pump, json.dumps(setup).encode())
        return True

    async def _pump(self, setup: bytes) -> None:
        """Hand on what the transport brings. What goes wrong is for whoever receives."""
        assert self._process is not None
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            try:
                await _send(pipe.fileno(), setup)
                with suppress(trio.EndOfChannel):
                    while True:
                        chunk = await self._transport.receive()
                        after = dict(chunk.after) if self._transport.rewindable else None
                        size, stored = len(chunk.data), chunk.stored if len(chunk.data) >= LONG else None
                        head = chunk.origin, chunk.stream, chunk.ends, self._transport.came(chunk), after, size, stored
                        while self._ahead > AHEAD:
                            self._room = trio.Event()
                            await self._room.wait()
                        self._ahead += size
                        await _send(pipe.fileno(), MESSAGES.encode(head), b"" if stored else chunk.data)
            except SourceError as error:
                self._failure = error
            except OSError:  # the process has gone, as whoever receives sees
                pass

    async def _answer(self) -> LocatedBlock:
        if self._ended:
            raise trio.EndOfChannel
        while (end := self._end()) > len(self._buffer):
            await trio.lowlevel.wait_readable(self._answers)
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise self._broken()
            self._buffer += part
        answer, self._ended = decode_answer(memoryview(self._buffer)[LENGTH.size : end], len(self._fields.numbers))
        if self._ended and self._failure is not None:  # what came last is no end
            raise self._failure
        del self._buffer[:end]
        self.seen = answer.seen
        self._here.refuse(answer.refused)
        self._ahead -= answer.taken
        self._room.set()
        place, self._where = self._where, answer.where
        return answer._replace(block=answer.block._replace(place=place))

    def where(self, place: Place | None = None) -> Any:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        return place or (self._where if self._apart else self._here.where())

    def rewind(self, where: Any) -> None:  # noqa: ANN401 (see `BlockSource`)
        """See `BlockSource`."""
        self._here.rewind(where)

    def _end(self) -> int:
        """How much has to be in the buffer for the next answer to be complete."""
        if len(self._buffer) < LENGTH.size:
            return LENGTH.size
        size: int = LENGTH.unpack_from(self._buffer)[0]
        return LENGTH.size + size

    def _broken(self) -> BaseException:
        assert self._process is not None
        return WorkerError(f"the process that decodes has ended (exit code {self._process.wait()})")

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """End the process; it holds nothing that is wanted."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # first, or it would complain that nobody reads its answers
            os.close(self._answers)
            assert process.stdin is not None
            process.stdin.close()
            process.wait()


async def _send(pipe: int, head: bytes, data: bytes = b"") -> None:
    """Write a message."""
    start = LENGTHS.pack(len(head), len(data)) + head
    done, end = 0, len(start) + len(data)
    while done < end:
        rest = [start[done:], data] if done < len(start) else [memoryview(data)[done - len(start) :]]
        try:
            done += os.writev(pipe, rest)
        except BlockingIOError:
            await trio.lowlevel.wait_writable(pipe)
