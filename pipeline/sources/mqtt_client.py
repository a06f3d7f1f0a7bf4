"""A connection to an MQTT broker: paho's client, driven by trio without a thread of its own."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import trio

from ..flow.group import open_group
from .address import ServerAddress
from .attempts import Attempts
from .net import keep_alive
from .source import SourceError
from .transport import Opening

if TYPE_CHECKING:
    import paho.mqtt.client as paho

__all__ = ["Mqtt", "MqttRefusedError", "check_mqtt", "mqtt_attempts", "open_mqtt"]

PORTS = (1883, 8883)
NOWHERE = "recurrio/nowhere"  # a topic that nobody has subscribed to
CHUNK = 1 << 18  # bytes that are read together, about
PATIENCE = 10.0  # seconds until the broker has answered
# Reason codes of MQTT 5 for what another attempt will not change: protocol, names, passwords, rights, another client.
LASTING = {0x82, 0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E, 0x8F, 0x90, 0xA2}


class MqttRefusedError(Exception):
    """The broker has refused something, and would again."""


def mqtt_attempts(opening: Opening) -> Attempts:
    """Connections to a broker of MQTT."""
    return Attempts(opening.address, opening.notice, (OSError,), (MqttRefusedError,))


def check_mqtt(address: ServerAddress) -> None:
    """Raises SourceError where paho-mqtt is not installed."""
    try:
        import paho.mqtt.client  # noqa: F401
    except ImportError:
        raise SourceError(f"{address.shown}: needs paho-mqtt; pip install 'recurrio[mqtt]'") from None


class Mqtt:
    """A connection; ``session`` is whether the broker knew the client, ``is_kept`` whether it is to know it afterwards.

    What comes is read by `read` alone.
    """

    def __init__(self, client: paho.Client) -> None:
        self.client, self.session, self.is_kept = client, False, True
        self.messages: list[paho.MQTTMessage] = []  # that came with the last `read`
        self.done = 0  # messages that were published, and acknowledged
        self.fd = -1  # of the socket, another one than that which paho closes as it likes
        self._answer = trio.Event()
        self._write, self._problem = trio.Event(), ""
        self._lasting = False
        self._then: dict[int | None, Callable[[], None]] = {}  # what is to be done when the broker has come so far
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_message = lambda client, data, message: self.messages.append(message)
        client.on_publish = self._on_publish
        client.on_socket_register_write = lambda client, data, sock: self._write.set()

    def _on_connect(self, client: object, data: object, flags: Any, reason: Any, properties: object) -> None:  # noqa: ANN401
        self.session = flags.session_present
        self._note(reason)
        self._answer.set()

    def _on_subscribe(self, client: object, data: object, mid: int, reasons: list[Any], properties: object) -> None:
        self._note(reasons[0])
        self._answer.set()

    def _on_publish(self, client: object, data: object, mid: int, reason: Any, properties: object) -> None:  # noqa: ANN401
        self._note(reason)
        self.done += 1

    def _on_disconnect(self, client: object, data: object, flags: object, reason: Any, properties: object) -> None:  # noqa: ANN401
        self._note(reason)
        self._problem = self._problem or "the connection has ended"

    def _on_unsubscribe(self, client: object, data: object, mid: int, reasons: object, properties: object) -> None:
        self._then.pop(mid)()

    def when_done(self, then: Callable[[], None]) -> None:
        """Call `then` when the broker has dealt with all that it was sent by now: it answers in turn."""
        self._then[self.client.unsubscribe(NOWHERE)[1]] = then

    def _note(self, reason: Any) -> None:  # noqa: ANN401 (a ReasonCode)
        if reason.is_failure:
            self._problem, self._lasting = str(reason).lower(), reason.value in LASTING

    async def answered(self) -> None:
        """Wait for the answer to what was asked. Raises OSError, MqttRefusedError."""
        with trio.move_on_after(PATIENCE) as scope:
            while not self._answer.is_set():
                await self.read()
        if scope.cancelled_caught:
            raise TimeoutError("the broker does not answer")
        self._answer = trio.Event()

    async def read(self) -> None:
        """Wait for what comes next, and read what has come, up to a chunk of it. Raises OSError, MqttRefusedError."""
        self.check()
        sock: Any = self.client.socket()
        if not (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            await trio.lowlevel.wait_readable(self.fd)
        before, size = -1, 0  # a call reads one packet, and does not say whether it has
        while before < len(self.messages) + self.done and size < CHUNK:
            before = len(self.messages) + self.done
            self.client.loop_read()
            self.check()
            size += len(self.messages[-1].payload) if self.messages else 0

    def check(self) -> None:
        """Raises OSError where the connection has ended, MqttRefusedError where another one would be of no use."""
        if self._problem:
            raise MqttRefusedError(self._problem) if self._lasting else ConnectionError(self._problem)

    async def keep_writing(self) -> None:
        """Write what is to be written, as it can be."""
        while True:
            await self._write.wait()
            self._write = trio.Event()
            while self.client.want_write():
                await trio.lowlevel.wait_writable(self.fd)
                self.client.loop_write()
                self.check()


@asynccontextmanager
async def open_mqtt(address: ServerAddress, name: str, *, expiry: int, window: int) -> AsyncIterator[Mqtt]:
    """Connect as the client `name`, whose session the broker keeps for `expiry` seconds, 0 for not.

    At most `window` messages come that are not acknowledged. Raises OSError, MqttRefusedError, SourceError.
    """
    import paho.mqtt.client as paho
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval, properties.ReceiveMaximum = expiry, window
    client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5, manual_ack=True)
    client.max_inflight_messages_set(0)
    client.max_queued_messages_set(0)
    client.connect_timeout = PATIENCE
    if address.user is not None:
        client.username_pw_set(address.user, address.password)
    if (context := address.tls_context()) is not None:
        client.tls_set_context(context)
    mqtt = Mqtt(client)
    host, port = address.servers[0]
    # It says that it is there by the system's means: a reader that waits reads no answer to a ping.
    how: dict[str, Any] = {"keepalive": 0, "clean_start": not expiry, "properties": properties}
    await trio.to_thread.run_sync(lambda: client.connect(host, port, **how), abandon_on_cancel=True)
    try:
        sock: Any = client.socket()
        with suppress(OSError, AttributeError):
            keep_alive(sock)
        mqtt.fd = os.dup(sock.fileno())
        async with open_group() as group:
            group.start_background(mqtt.keep_writing)
            await mqtt.answered()
            yield mqtt
    finally:
        with suppress(OSError):  # the broker keeps the session, and what is not acknowledged
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = expiry if mqtt.is_kept else 0
            client.disconnect(properties=properties)
            client.loop_write()
        if mqtt.fd >= 0:
            os.close(mqtt.fd)
