"""A topic of Kafka: its messages are records, and where it is known by is the next offset of each partition."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from ..flow.group import open_group
from .address import ServerAddress, server_address
from .attempts import Attempts
from .broker import OPTIONS, BrokerTransport
from .source import Position, SourceError
from .transport import Opening, Transport

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError

__all__ = ["PORTS", "KafkaRefusedError", "Problems", "check_kafka", "kafka_attempts", "kafka_options", "open_kafka"]

PORTS = (9092, 9093)
WAIT = 0.2  # seconds that a thread waits for a message, and an end of the run for that thread
PATIENCE = 10.0  # seconds until the cluster has answered
HELD = 4 << 10  # kilobytes that the client reads ahead
LOOK = 30.0  # seconds between two looks for new partitions
START, END = "start", "end"


class KafkaRefusedError(Exception):
    """The cluster has refused something, and would again."""


class Problems:
    """What the client says, in threads of its own, of its connections."""

    def __init__(self) -> None:
        self._found: Exception | None = None

    def __call__(self, error: KafkaError) -> None:
        """The client has met `error`."""
        from confluent_kafka import KafkaError

        lasting = [KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.TOPIC_AUTHORIZATION_FAILED]
        lasting += [KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED]
        if error.code() in lasting or error.fatal():
            self._found = KafkaRefusedError(error.str())
        elif error.code() == KafkaError._ALL_BROKERS_DOWN and self._found is None:
            self._found = ConnectionError("no broker can be reached")

    def check(self) -> None:
        """Raises OSError where another connection is to be tried, KafkaRefusedError where that would be of no use."""
        found, self._found = self._found, None
        if found is not None:
            raise found


def kafka_attempts(opening: Opening) -> Attempts:
    """Connections to a broker of Kafka."""
    return Attempts(opening.address, opening.notice, (OSError,), (KafkaRefusedError,))


def check_kafka(address: ServerAddress) -> None:
    """Raises SourceError where confluent-kafka is not installed."""
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise SourceError(f"{address.shown}: needs confluent-kafka; pip install 'recurrio[kafka]'") from None


def kafka_options(address: ServerAddress, problems: Problems) -> dict[str, Any]:
    """The options of a client."""
    servers = ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in address.servers)
    named = address.user is not None
    found: dict[str, Any] = {
        "bootstrap.servers": servers,
        "client.id": f"recurrio-{socket.gethostname()}",
        "security.protocol": ("sasl_" if named else "") + ("ssl" if address.tls else "plaintext"),
        "error_cb": problems,
        "reconnect.backoff.max.ms": 1000,
        "log_level": 0,  # it would write to standard error
    }
    if named:
        mechanism = address.options.get("sasl", "PLAIN")
        found |= {"sasl.mechanism": mechanism, "sasl.username": address.user, "sasl.password": address.password or ""}
    if "ca" in address.options:
        found["ssl.ca.location"] = address.options["ca"]
    return found


class KafkaTransport(BrokerTransport):
    """The messages of all partitions of a topic, from their start on, or behind what the ``group`` has had.

    It reads all of them itself, and tells the group how far it is; it does not share them with others of the group. In
    what order they come of several partitions is up to chance, and repeated from the journal.
    """

    rewindable = True

    def __init__(self, address: ServerAddress, opening: Opening) -> None:
        self._group = address.options.get("group")
        self._next: dict[int, int] = {}  # the offset of each partition,
        self._safe: Mapping[str, int] = {}  # and those up to which all is safe
        super().__init__(address, opening, kafka_attempts(opening))

    def go_to(self, position: Position) -> None:
        """See `BrokerTransport`: at the next offset of each partition, by its number."""
        try:
            found = {int(name): int(offset) for name, offset in position.items() if name != "producers"}
        except ValueError as error:
            raise SourceError(f"{self.name}: no position in partitions: {error}") from None
        self._next = found

    async def read(self) -> None:
        """See `BrokerTransport`."""
        from confluent_kafka import Consumer, KafkaException

        problems = Problems()
        options = kafka_options(self._address, problems)
        options |= {"group.id": self._group or "recurrio", "enable.auto.commit": False, "enable.partition.eof": False}
        options |= {"auto.offset.reset": "error", "queued.max.messages.kbytes": HELD}
        consumer = Consumer(options)
        try:
            async with open_group() as group:
                await trio.to_thread.run_sync(self._begin, consumer)
                self.attempts.connected()
                if self._group is not None:
                    group.start_background(self._tell, consumer)
                look = trio.current_time() + LOOK
                while True:
                    await self._take(consumer)
                    problems.check()
                    if trio.current_time() > look:
                        await trio.to_thread.run_sync(self._begin, consumer)
                        look = trio.current_time() + LOOK
        except KafkaException as error:
            problems.check()
            raise ConnectionError(error.args[0].str()) from None
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(consumer.close)

    def _begin(self, consumer: Consumer) -> None:
        """In a thread: be assigned all partitions that there are, each at its place. Raises SourceError."""
        from confluent_kafka import KafkaException, TopicPartition

        topic = self._address.path
        about = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
        if about.error is not None:
            raise KafkaException(about.error)
        assigned = {one.partition for one in consumer.assignment()}
        places = []
        for number in sorted(about.partitions.keys() - assigned):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=PATIENCE)
            if number not in self._next:
                self._next[number] = self._first(consumer, number, low, high, new=bool(assigned))
            offset = self._next[number]
            if not low <= offset <= high:
                gone = low - offset if offset < low else 1
                self.gap(gone, f"{gone:,} messages of partition {number} behind offset {offset:,} are gone")
                self._next[number] = low
            places.append(TopicPartition(topic, number, self._next[number]))
        if places:
            consumer.incremental_assign(places)

    def _first(self, consumer: Consumer, number: int, low: int, high: int, *, new: bool) -> int:
        """Where to begin in a partition of which nothing has been read; in a `new` one at its start."""
        from confluent_kafka import TopicPartition

        if self._group is not None:
            (found,) = consumer.committed([TopicPartition(self._address.path, number)], timeout=PATIENCE)
            if found.offset >= 0:
                return int(found.offset)
        return high if self._address.options.get("from") == END and not new else low

    async def _take(self, consumer: Consumer) -> None:
        """Hand on what there is, if there is anything within a while."""
        from confluent_kafka import KafkaError, KafkaException

        messages = await trio.to_thread.run_sync(_poll, consumer, self.some)
        lines = []
        for message in messages:
            if (error := message.error()) is not None:
                if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
                    consumer.unassign()  # what was read is gone meanwhile, and `_begin` says so
                    await trio.to_thread.run_sync(self._begin, consumer)
                elif not error.retriable():
                    raise KafkaException(error)
                continue
            self._next[message.partition()] = message.offset() + 1
            if message.value() is not None:  # which says that a key is no more
                lines.append(message.value())
        if messages:
            where = {str(number): offset for number, offset in sorted(self._next.items())}
            await self.hand_on(lines, where, partial(setattr, self, "_safe", where))

    async def _tell(self, consumer: Consumer) -> None:
        """Tell the group what is safe."""
        from confluent_kafka import TopicPartition

        while True:
            await self.settled()
            places = [TopicPartition(self._address.path, int(name), offset) for name, offset in self._safe.items()]
            consumer.commit(offsets=places, asynchronous=True)


def _poll(consumer: Consumer, most: int) -> list[Any]:
    """In a thread: the next messages, at `most` so many; none where none has come within a while."""
    first = consumer.poll(WAIT)
    return [] if first is None else [first, *consumer.consume(most - 1, 0)]


@asynccontextmanager
async def open_kafka(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``kafka://host:port/topic?group=name``; with ``kafkas`` by TLS."""
    address = server_address(opening.address, "TOPIC", PORTS, (*OPTIONS, "group", "from", "sasl"))
    if address.options.get("from", START) not in (START, END):
        raise SourceError(f"{address.shown}: expected from={START} or from={END}")
    check_kafka(address)
    async with KafkaTransport(address, opening) as transport, open_group() as group:
        group.start_background(transport.keep)
        yield transport
