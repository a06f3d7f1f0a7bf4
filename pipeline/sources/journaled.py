"""A source that cannot go back, with a journal: what has come is there again after its process was killed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import trio

from .journal import Journal
from .source import CUT, Chunk, Position, SourceError, Streams
from .transport import Opening, Transport

__all__ = ["JournaledTransport", "entries_in", "last_position"]

HEAD = struct.Struct("<I")
MOST = 1 << 30  # bytes of a journal; then nothing is read until a checkpoint has covered some
GROUP = 2.0  # seconds between two times that what nobody waits for is synced
AGAIN = 1.0  # seconds until it is tried again to write what could not be
ENCODE, DECODE = msgspec.msgpack.Encoder().encode, msgspec.msgpack.decode


def _entry(chunk: Chunk, kind: Streams, *, messages: bool) -> tuple[bytes, bytes]:
    head = ENCODE((int(kind), messages, chunk.stream, chunk.ends, chunk.origin, dict(chunk.after)))
    return HEAD.pack(len(head)) + head, chunk.data


def _chunk(data: bytes) -> tuple[Streams, bool, Chunk]:
    """What an entry says. Raises SourceError."""
    try:
        (length,) = HEAD.unpack_from(data)
        kind, messages, stream, ends, origin, after = DECODE(data[HEAD.size : HEAD.size + length])
        return Streams(kind), messages, Chunk(data[HEAD.size + length :], origin, after, stream, ends)
    except (msgspec.MsgspecError, struct.error, ValueError, TypeError) as error:
        raise SourceError(f"a journal has an entry that is none: {error}") from None


def last_position(journal: Journal) -> Position | None:
    """Where its source was behind the last entry; None where there is none."""
    found = None
    for _, data in journal.read(journal.last):
        found = _chunk(data)[2].after
    return found


class JournaledTransport(Transport):
    """What is in the `journal`, and then what comes by `transport`, which is written there before it is handed on.

    Connections that were open when the process ended have broken off. With no `transport` it ends with the journal. A
    chunk that says how is acknowledged when it is on the disk; until it can be written, its source waits. Others are
    handed on where the disk is full, and counted: they are not there again.
    """

    rewindable = True

    def __init__(self, transport: Transport | None, journal: Journal, opening: Opening) -> None:
        self._inner, self.journal, self._opening = transport, journal, opening
        self._entries: Iterator[tuple[int, bytes]] | None = journal.read(journal.first)
        self.replays = journal.end > journal.first
        self._next = journal.first
        self._open: dict[int, str] = {}  # streams, and their origins
        self._base = 0  # of the numbers of streams of this process
        self._cut: list[int] = []  # streams that are still to be said to have broken off
        self._acknowledge: list[Callable[[], None]] = []
        self._dirty, self._unwritten = trio.Event(), 0
        self._said = self._open_said = ""
        self._behind: Position = {} if transport is None else transport.position  # where the source is
        if transport is not None:
            self.name, self.streams, self.messages = transport.name, transport.streams, transport.messages
            self.waits = transport.waits
        else:
            self.name = opening.address
            for _, data in journal.read(journal.first):
                self.streams, self.messages, _ = _chunk(data)
                break

    @property
    def position(self) -> Position:
        """See `Transport`."""
        if not self._open_said:
            self._open_said = json.dumps([*self._open.items()])
        return {"entry": self._next, "open": self._open_said, "base": self._base}

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: also what could not be written to the journal, and what of that has been lost before."""
        found = {} if self._inner is None else {**self._inner.counts}
        lost = {"unjournaled": self._unwritten, "gaps": self.journal.gaps}
        return found | {name: count for name, count in lost.items() if count}

    def rewind(self, position: Position) -> None:
        """See `Transport`."""
        try:
            self._next = int(position["entry"])
            self._open = {int(stream): str(origin) for stream, origin in json.loads(str(position["open"]))}
            self._base = int(position["base"])
        except (KeyError, ValueError, TypeError) as error:
            raise SourceError(f"{self.name}: no position in a journal: {error}") from None
        self._open_said = ""
        if not self.journal.first <= self._next <= self.journal.end:
            there = f"{self.journal.first:,} to {self.journal.end:,}"
            what = f"the journal has entries {there}, and {self._next:,} would be the next"
            if not self._opening.allow_gap:
                raise SourceError(f"{self.name}: {what}; --allow-gap goes on without")
            self.journal.gaps = 1
            self._next = min(max(self._next, self.journal.first), self.journal.end)
        self._entries = self.journal.read(self._next)
        self.replays = self._next < self.journal.end

    def refuse(self, stream: int) -> None:
        """See `Transport`."""
        if self._inner is not None and stream >= self._base:
            self._inner.refuse(stream - self._base)

    async def receive(self) -> Chunk:
        """See `Transport`."""
        if self._entries is not None:
            await trio.lowlevel.checkpoint()
            for _, data in self._entries:
                return self._hand_on(_chunk(data)[2])
            self._entries, self.replays = None, False
            if self._inner is None:
                raise trio.EndOfChannel
            self._cut = [*self._open]
            self._base = max(self._base, *[stream + 1 for stream in self._open], 0)
        while self._cut:
            stream = self._cut.pop(0)
            return await self._write(Chunk(b"", self._open[stream], self._behind, stream, CUT))
        if self._inner is None:
            raise trio.EndOfChannel
        while self.journal.size > MOST:
            self._opening.on_full()
            await trio.sleep(0.1)
        chunk = await self._inner.receive()
        self._behind = chunk.after
        return await self._write(chunk._replace(stream=self._base + chunk.stream) if chunk.stream >= 0 else chunk)

    async def _write(self, chunk: Chunk) -> Chunk:
        """Write an entry of `chunk`, and hand it on; no wait is cancelled before it is there."""
        entry = _entry(chunk, self.streams, messages=self.messages)
        with trio.CancelScope(shield=chunk.acknowledge is not None):
            while True:
                try:
                    self.journal.append(*entry)
                except OSError as error:
                    self._say(f"the journal of {self.name} cannot be written: {error.strerror}")
                    if chunk.acknowledge is not None:
                        await trio.sleep(AGAIN)
                        continue
                    self._unwritten += 1
                    return chunk._replace(after=self.position)
                break
        self._say("")
        self._dirty.set()
        if chunk.acknowledge is not None:
            self._acknowledge.append(chunk.acknowledge)
        path, end = self.journal.place
        return self._hand_on(chunk._replace(stored=(path, end - len(chunk.data))))

    def _hand_on(self, chunk: Chunk) -> Chunk:
        self._next += 1
        if chunk.ends:
            self._open.pop(chunk.stream, None)
            self._open_said = ""
        elif chunk.stream >= 0 and chunk.stream not in self._open:  # the others go on in another process
            self._open[chunk.stream] = chunk.origin
            self._open_said = ""
        self._base = max(self._base, chunk.stream + 1) if self._entries is not None else self._base
        return chunk._replace(after=self.position)

    def _say(self, text: str) -> None:
        if text and text != self._said:
            self._opening.notice(text)
        self._said = text

    async def keep_synced(self) -> None:
        """See that what is written gets to the disk, and acknowledge it then; to be run beside the source."""
        while True:
            await self._dirty.wait()
            self._dirty = trio.Event()
            waiting, self._acknowledge = self._acknowledge, []
            work = self.journal.sync()
            if work is not None:
                try:
                    await trio.to_thread.run_sync(work)
                except OSError as error:
                    self._say(f"the journal of {self.name} cannot be synced: {error.strerror}")
                    self._acknowledge = waiting + self._acknowledge
                    await trio.sleep(AGAIN)
                    self._dirty.set()
                    continue
            for acknowledge in waiting:
                acknowledge()
            if not waiting:
                await trio.sleep(GROUP)

    def sync(self) -> Callable[[], None] | None:
        """See `Journal.sync`."""
        return self.journal.sync()

    async def aclose(self) -> None:
        """See `Transport`; the source below belongs to whoever has opened it."""
        self.journal.close()
        await trio.lowlevel.checkpoint()


def entries_in(where: Any) -> dict[str, int]:  # noqa: ANN401 (JSON)
    """The next entry of each journal, by its source, in what a source of blocks, or a text, says of where it is."""
    if not isinstance(where, dict):
        return {}
    parts = where.get("sources", [where])
    found = {}
    for index, part in enumerate(parts):
        position = part.get("transport", part) if isinstance(part, dict) else {}
        if isinstance(position, dict) and "entry" in position:
            found[str(index)] = int(position["entry"])
    return found
