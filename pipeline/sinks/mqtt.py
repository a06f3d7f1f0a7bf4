"""Lines to a topic of an MQTT broker: each is a message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from ..sources import Opening
from ..sources.address import server_address
from ..sources.mqtt_client import PORTS, check_mqtt, mqtt_attempts, open_mqtt
from .sink import Said, Sink

__all__ = ["MqttSink"]

WINDOW = 100  # messages that may come to a client that subscribes to nothing


class MqttSink(Sink):
    """``mqtt://host:port/topic``, with quality of service 1."""

    def __init__(self, opening: Opening) -> None:
        address = server_address(opening.address, "TOPIC", PORTS, ())
        check_mqtt(address)
        super().__init__(address, mqtt_attempts(opening))

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Callable[[Sequence[Said]], Awaitable[object]]]:
        """See `Sink`."""
        async with open_mqtt(self._address, "", expiry=0, window=WINDOW) as mqtt:

            async def send(lines: Sequence[Said]) -> None:
                mqtt.done = 0
                for _, line in lines:
                    mqtt.client.publish(self._address.path, line, qos=1)
                while mqtt.done < len(lines):
                    await mqtt.read()

            yield send
