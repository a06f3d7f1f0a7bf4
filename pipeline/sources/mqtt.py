"""The messages of a topic of an MQTT broker."""

from __future__ import annotations

import json
import socket
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from ..flow.group import open_group
from .address import ServerAddress, server_address
from .broker import OPTIONS, BrokerTransport
from .mqtt_client import PORTS, Mqtt, check_mqtt, mqtt_attempts, open_mqtt
from .source import Position, SourceError
from .transport import Opening, Transport

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

__all__ = ["client_name", "open_mqtt_topic"]

WINDOW = 200  # messages that the broker is to send before one is acknowledged, not that each keeps to it
EXPIRY = 7 * 86_400  # seconds that the broker keeps what comes while nobody is connected


class MqttTransport(BrokerTransport):
    """The messages of a topic, or of all that match one with wildcards; each is acknowledged when it is in the journal.

    The broker keeps what comes meanwhile for the client of this name: that of the address, or else one of its own for
    the folder of the journal; without a journal it keeps nothing. What it sends again, since the acknowledgement was
    lost, is known by its number and its bytes, and dropped.
    """

    def __init__(self, address: ServerAddress, opening: Opening) -> None:
        self._client, self._lasts = client_name(address, opening), opening.journal is not None
        self._lasts = self._lasts or "client" in address.options
        self._field = address.options.get("topic")
        self._begun = False
        self._window: dict[int, int] = {}  # of messages that may come again, by their numbers, what their bytes come to
        self._mqtt: Mqtt | None = None  # the connection that there is,
        self._again: set[int] | None = None  # what has come again over it, up to its first new message,
        self._acknowledged: list[tuple[int, int | None]] = []  # and acknowledged: the broker may not know
        self._asked = False
        self._repeated = self._retained = 0
        super().__init__(address, opening, mqtt_attempts(opening))

    def go_to(self, position: Position) -> None:
        """See `BrokerTransport`: the client, and the ``window`` of messages that may come again."""
        try:
            self._client = str(position["client"])
            self._window = {int(number): int(check) for number, check in json.loads(str(position["window"]))}
        except (KeyError, ValueError, TypeError) as error:
            raise SourceError(f"{self.name}: no position of a client: {error}") from None
        self._begun = True

    @property
    def counts(self) -> Mapping[str, int]:
        """See `Transport`: also what was retained of some time before."""
        found = dict(super().counts)
        found["duplicates"] = found.get("duplicates", 0) + self._repeated
        return found | ({"retained": self._retained} if self._retained else {})

    async def read(self) -> None:
        """See `BrokerTransport`."""
        expiry = EXPIRY if self._lasts else 0
        async with open_mqtt(self._address, self._client, expiry=expiry, window=WINDOW) as mqtt:
            if self._begun and not mqtt.session:
                self._forgotten(mqtt)
            self._mqtt, self._again, self._acknowledged, self._asked = mqtt, set(), [], False
            self._subscribe(mqtt)
            self.attempts.connected()
            self._begun = True
            while True:
                while not mqtt.messages:
                    await mqtt.read()
                messages, mqtt.messages = mqtt.messages, []
                lines = [self._line(message) for message in messages if self._is_new(message)]
                numbers = [message.mid for message in messages if message.qos]
                where = {"client": self._client, "window": json.dumps([*self._window.items()], separators=(",", ":"))}
                await self.hand_on(lines, where, partial(self._settle, mqtt, numbers))

    def _forgotten(self, mqtt: Mqtt) -> None:
        """The broker does not know the client any more. Raises SourceError unless that is allowed."""
        if self._lasts:
            mqtt.is_kept = False  # or the next run would not see it
            self.gap(1, "the broker has forgotten the client, and what came meanwhile")
            mqtt.is_kept = True
        self._window.clear()

    def _subscribe(self, mqtt: Mqtt) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        # What is retained is of some time before: it comes with the first subscription alone.
        retain = SubscribeOptions.RETAIN_DO_NOT_SEND if self._begun else SubscribeOptions.RETAIN_SEND_IF_NEW_SUB
        mqtt.client.subscribe(self._address.path, options=SubscribeOptions(qos=1, retainHandling=retain))

    def _is_new(self, message: MQTTMessage) -> bool:
        """Whether it has not come before; it is noted."""
        self._retained += message.retain
        if not message.qos:
            return True
        check = zlib.crc32(message.payload, zlib.crc32(message.topic.encode()))
        if message.dup and self._window.get(message.mid) == check:
            self._repeated += 1
            if self._again is not None:
                self._again.add(message.mid)
            return False
        if self._again is not None and not message.dup:  # what is sent again comes before what is new
            self._window = {number: check for number, check in self._window.items() if number in self._again}
            self._again = None
        self._window[message.mid] = check
        return True

    def _settle(self, mqtt: Mqtt, numbers: Sequence[int]) -> None:
        """Acknowledge these; what came over a connection that has ended comes again."""
        if mqtt is self._mqtt:
            _acknowledge(mqtt, numbers)
            self._acknowledged += [(number, self._window.get(number)) for number in numbers]
            self._ask()

    def _ask(self) -> None:
        """Forget what was acknowledged, once the broker knows."""
        if self._asked or not self._acknowledged or self._mqtt is None:
            return
        acknowledged, self._acknowledged, self._asked = self._acknowledged, [], True

        def known() -> None:
            for number, check in acknowledged:
                if self._window.get(number) == check:  # else it is another message's by now
                    self._window.pop(number, None)
            self._asked = False
            self._ask()

        self._mqtt.when_done(known)

    def _line(self, message: MQTTMessage) -> bytes:
        """The payload; where the topic is to be a field of JSON, with that."""
        payload = bytes(message.payload)
        if self._field is None or not payload.startswith(b"{"):
            return payload
        head = msgspec.json.encode({self._field: message.topic})[:-1]
        return head + (payload[1:] if payload[1:].strip() == b"}" else b"," + payload[1:])


def _acknowledge(mqtt: Mqtt, numbers: Sequence[int]) -> None:
    """Tell the broker that these have been had."""
    for number in numbers:
        mqtt.client.ack(number, 1)


def client_name(address: ServerAddress, opening: Opening) -> str:
    """The name of the client; empty for one that the broker makes up, where there is no journal."""
    if "client" in address.options or opening.journal is None:
        return address.options.get("client", "")
    where = f"{socket.gethostname()} {opening.journal.folder.absolute()} {address.path}"
    return f"recurrio-{sha256(where.encode()).hexdigest()[:16]}"


@asynccontextmanager
async def open_mqtt_topic(rest: str, opening: Opening) -> AsyncIterator[Transport]:
    """``mqtt://host:port/topic``; with ``mqtts`` by TLS."""
    address = server_address(opening.address, "TOPIC", PORTS, (*OPTIONS, "client", "topic"))
    check_mqtt(address)
    async with MqttTransport(address, opening) as transport, open_group() as group:
        group.start_background(transport.keep)
        yield transport
