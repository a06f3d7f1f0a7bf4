"""What is read of a broker: messages, handed on in chunks, over connections that are made again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import trio

from .address import ServerAddress
from .attempts import Attempts
from .numbered import Producers
from .source import Chunk, Position, SourceError, Streams
from .transport import Opening, Transport

__all__ = ["CHUNK", "OPTIONS", "BrokerTransport"]

OPTIONS = ("producer", "sequence")  # that every broker's address can have

CHUNK = 1 << 18  # bytes of a chunk, about
FEW, MOST = 100, 2000  # messages of the first, and of any


class BrokerTransport(Transport):
    """The messages of a broker, each of which is whole lines; where nobody receives, they stay with it.

    What comes is written to a journal, if there is one, and the broker is told how far that is. A connection that
    breaks is made again, as `attempts` say.

    Where the address names a field of JSON that is a ``sequence``, whole numbers that go up with each ``producer``,
    another field, a message with a number that has come already is dropped, and counted.
    """

    streams, messages, journaled = Streams.MESSAGES, True, True

    def __init__(self, address: ServerAddress, opening: Opening, attempts: Attempts) -> None:
        self.name, self._address, self._opening = address.shown, address, opening
        self.attempts = attempts
        self._send, self._receive = trio.open_memory_channel[Chunk](1)
        self._wanted = trio.Event()  # nothing is asked for before somebody receives
        self._settled = trio.Event()
        self._held: Chunk | None = None
        self._position: Position = {}
        self._sequence = _Sequence.of(address.options)
        self.gaps = 0
        self.some = FEW  # messages of the next chunk, at most
        if opening.position is not None:
            self.rewind(opening.position)

    @property
    def position(self) -> Position:
        """See `Transport`."""
        return self._position

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: how often it was connected again, what came twice, and what was gone before it came."""
        found = {"reconnects": self.attempts.count}
        if self._sequence is not None:
            found["duplicates"] = self._sequence.producers.duplicates
        return found | ({"gaps": self.gaps} if self.gaps else {})

    async def receive(self) -> Chunk:
        """See `Transport`."""
        self._wanted.set()
        chunk = await self._receive.receive()
        self._position = chunk.after
        return chunk

    def rewind(self, position: Position) -> None:
        """See `Transport`."""
        if self._sequence is not None and "producers" in position:
            try:
                self._sequence.producers.load(str(position["producers"]))
            except (ValueError, TypeError) as error:
                raise SourceError(f"{self.name}: no position: {error}") from None
        self._position = position
        self.go_to(position)

    @abstractmethod
    def go_to(self, position: Position) -> None:
        """Let the next message be the one behind `position`. Raises SourceError."""

    @abstractmethod
    async def read(self) -> None:
        """Connect, say so to ``attempts``, and `hand_on` messages, until the connection ends."""

    async def hand_on(self, messages: Sequence[bytes], after: Position, settle: Callable[[], object]) -> None:
        """Let `messages` be received, behind which is `after`; `settle` is called when they are safe."""
        if self._sequence is not None:
            messages = self._sequence.new(messages)
            after = {**after, "producers": self._sequence.producers.dump()}

        def acknowledge() -> None:
            settle()
            self._settled.set()

        data = b"\n".join([*messages, b""])  # one that has an end of its own has an empty line behind it
        if messages:
            self.some = max(1, min(MOST, CHUNK * len(messages) // len(data)))
        # One stream that goes on in another process, whatever becomes of connections.
        self._held = Chunk(data, self.name, after, -1, came=trio.current_time(), acknowledge=acknowledge)
        await self._send_held()

    async def _send_held(self) -> None:
        """Let what is in hand be received; where a connection ends meanwhile, it is there for the next one."""
        if (chunk := self._held) is None:
            return
        await self._send.send(chunk)
        self._held = None
        self.attempts.works()
        if self._opening.journal is None and chunk.acknowledge is not None:
            chunk.acknowledge()

    async def settled(self) -> None:
        """Wait until something has become safe."""
        await self._settled.wait()
        self._settled = trio.Event()

    async def keep(self) -> None:
        """Read, over one connection behind the other; to be run beside the source."""
        await self._wanted.wait()

        async def read() -> None:
            await self._send_held()
            await self.read()

        await self.attempts.keep(read)

    def gap(self, count: int, what: str) -> None:
        """So many messages behind the position are gone. Raises SourceError unless that is allowed."""
        if not self._opening.allow_gap:
            raise SourceError(f"{self.name}: {what}; --allow-gap goes on without")
        self._opening.notice(f"{self.name}: {what}")
        self.gaps += count

    async def aclose(self) -> None:
        """See `Transport`."""
        self._receive.close()
        self._send.close()
        await trio.lowlevel.checkpoint()


class _Sequence:
    """The numbers that producers give their messages, in fields of JSON."""

    def __init__(self, sequence: str, producer: str | None) -> None:
        fields: list[tuple[str, Any, Any]] = [("number", int, msgspec.field(name=sequence))]
        fields += [("producer", str | int, msgspec.field(name=producer))] if producer else []
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Numbered", fields)).decode
        self._named, self.producers = bool(producer), Producers()

    @classmethod
    def of(cls, options: Mapping[str, str]) -> _Sequence | None:
        """That which an address asks for, if it does."""
        return cls(options["sequence"], options.get("producer")) if "sequence" in options else None

    def new(self, messages: Sequence[bytes]) -> list[bytes]:
        """Those that have not come before; what has no number is one."""
        found, came = [], self.producers.came
        for message in messages:
            try:
                said: Any = self._decode(message)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                found.append(message)  # whoever decodes the record will say what is wrong with it
                continue
            producer = str(said.producer) if self._named else ""
            self.producers.stream(producer)
            if said.number <= came.get(producer, -1):
                self.producers.duplicates += 1
                continue
            came[producer] = said.number
            found.append(message)
        return found
