"""Lines to a topic of Kafka: each is a message, and those of a key go to one partition."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from ..sources import Opening
from ..sources.address import server_address
from ..sources.kafka import PORTS, Problems, check_kafka, kafka_attempts, kafka_options
from .sink import Said, Sink

__all__ = ["KafkaSink"]

WAIT = 0.2  # seconds that a thread waits for the cluster


class KafkaSink(Sink):
    """``kafka://host:port/topic``."""

    def __init__(self, opening: Opening) -> None:
        address = server_address(opening.address, "TOPIC", PORTS, ("sasl",))
        check_kafka(address)
        super().__init__(address, kafka_attempts(opening))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Callable[[Sequence[Said]], Awaitable[object]]]:
        """See `Sink`."""
        from confluent_kafka import KafkaError, Message, Producer

        problems = Problems()
        options = {**kafka_options(self._address, problems), "enable.idempotence": True, "linger.ms": 1}
        producer = Producer(options)
        done, failed = 0, list[KafkaError]()

        def delivered(error: KafkaError | None, message: Message) -> None:
            nonlocal done
            done += error is None
            if error is not None:
                failed.append(error)

        async def send(lines: Sequence[Said]) -> None:
            nonlocal done
            done = 0
            for key, line in lines:
                producer.produce(self._address.path, line, None if key is None else key.encode(), on_delivery=delivered)
            while done < len(lines):
                await trio.to_thread.run_sync(producer.flush, WAIT)
                problems.check()
                if failed:
                    raise ConnectionError(failed[0].str())

        try:
            yield send
        finally:
            producer.purge()  # what has not gone is sent again
