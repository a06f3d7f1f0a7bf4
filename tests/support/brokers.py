"""Brokers for tests: servers that are started, killed, and filled."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

__all__ = ["BROKERS", "Broker", "Kafka", "Mosquitto", "Redis", "free_port", "running"]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """A server, with what it keeps in `folder`, where it survives to be killed."""

    program, module = "", ""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def words(self) -> list[str]:
        """The command that starts it."""

    def start(self) -> None:
        self._process = subprocess.Popen(
            self.words(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder
        )
        late = time.monotonic() + 20
        while not listens(self.port):
            assert time.monotonic() < late
            assert self._process.poll() is None
            time.sleep(0.01)

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill it, or end it by another signal."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def disturb(self) -> None:
        """Take it away, and bring it back, with all that it has."""
        self.end()
        time.sleep(0.2)
        self.start()

    def address(self, name: str, options: str = "") -> str:
        return f"{self.program}://127.0.0.1:{self.port}/{name}{options}"

    @abstractmethod
    async def fill(self, name: str, lines: Sequence[bytes]) -> None:
        """Let it have these messages, in this order."""

    @abstractmethod
    async def read(self, name: str) -> list[bytes]:
        """All that it was given there, in its order."""

    async def prepare(self, name: str) -> None:
        """What has to be there before something is sent."""


class Redis(Broker):
    """Each write is on the disk before it is answered."""

    program, module = "redis", "coredis"

    def words(self) -> list[str]:
        safe = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", *safe]

    async def fill(self, name: str, lines: Sequence[bytes]) -> None:
        import coredis

        async with coredis.Redis("127.0.0.1", self.port) as client, client.pipeline(transaction=False) as pipe:
            for line in lines:
                pipe.xadd(name, {"data": line})

    async def read(self, name: str) -> list[bytes]:
        import coredis

        async with coredis.Redis("127.0.0.1", self.port) as client:
            return [next(iter(entry.field_values.values())) for entry in await client.xrange(name)]  # type: ignore[misc]


class Mosquitto(Broker):
    """It keeps what it has when it is asked to end."""

    program, module = "mqtt", "paho.mqtt.client"

    def words(self) -> list[str]:
        kept = f"persistence true\npersistence_location {self.folder}/\nmax_queued_messages 0\n"
        config = self.folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n{kept}")
        return [shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto", "-c", str(config)]

    def disturb(self) -> None:
        self.end(signal.SIGTERM)
        time.sleep(0.2)
        self.start()

    async def prepare(self, name: str, client: str | None = None) -> None:
        """A session of the client that has the topic's name, which keeps what is sent there."""
        from recurrio.pipeline.sources.address import server_address
        from recurrio.pipeline.sources.mqtt_client import PORTS, open_mqtt

        address = server_address(self.address(name), "TOPIC", PORTS, ())
        async with open_mqtt(address, client or name, expiry=3600, window=1) as mqtt:
            mqtt.client.subscribe(name, qos=1)
            await mqtt.answered()

    async def fill(self, name: str, lines: Sequence[bytes]) -> None:
        from recurrio.pipeline.sinks.mqtt import MqttSink
        from recurrio.pipeline.sources import Opening

        async with MqttSink(Opening(self.address(name))).connect() as send:
            for start in range(0, len(lines), 100):
                await send([(None, line) for line in lines[start : start + 100]])

    async def read(self, name: str) -> list[bytes]:
        """What was kept for the client of this name, as far as it comes."""
        from recurrio.pipeline.sources.address import server_address
        from recurrio.pipeline.sources.mqtt_client import PORTS, open_mqtt

        address, found = server_address(self.address(name), "TOPIC", PORTS, ()), list[bytes]()
        async with open_mqtt(address, name, expiry=3600, window=1000) as mqtt:
            with trio.move_on_after(1.0) as scope:
                while True:
                    await mqtt.read()
                    for message in mqtt.messages:
                        found.append(bytes(message.payload))
                        mqtt.client.ack(message.mid, 1)
                    mqtt.messages.clear()
                    scope.deadline = trio.current_time() + 0.5
        return found


class Kafka(Broker):
    """confluent-kafka's own mock, which keeps all in memory: it is stopped for a while, and its connections are cut."""

    program, module = "kafka", "confluent_kafka"

    def start(self) -> None:
        words = [sys.executable, str(Path(__file__).parent / "kafka_mock.py")]
        pipes: dict[str, int] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(words, **pipes, bufsize=0)  # type: ignore[call-overload]
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rpartition(b":")[2])

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._process.stdout is not None and self._process.stdin is not None:
            self._process.stdout.close()
            self._process.stdin.close()
        super().end(number)

    def disturb(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(0.3)
        self._process.send_signal(signal.SIGCONT)
        assert self._process.stdin is not None
        self._process.stdin.write(b"cut\n")

    async def fill(self, name: str, lines: Sequence[bytes], partition: int | None = None) -> None:
        """By its key a record goes to a partition; or all to one."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0})
        for line in lines:
            where = {} if partition is None else {"partition": partition}
            producer.produce(name, line, line.partition(b",")[0], **where)
        assert producer.flush(20) == 0

    async def read(self, name: str) -> list[bytes]:
        from confluent_kafka import Consumer, TopicPartition

        server = {"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": "test", "log_level": 0}
        consumer, found = Consumer(server), list[bytes]()
        places = [TopicPartition(name, number) for number in consumer.list_topics(name, 10).topics[name].partitions]
        total = sum(consumer.get_watermark_offsets(place, 10)[1] for place in places)
        consumer.assign([TopicPartition(place.topic, place.partition, 0) for place in places])
        while len(found) < total:
            found += [message.value() for message in consumer.consume(1000, 0.2) if message.error() is None]
        consumer.close()
        return found


BROKERS: dict[str, type[Broker]] = {"redis": Redis, "mqtt": Mosquitto, "kafka": Kafka}


@contextmanager
def running(name: str, folder: Path) -> Iterator[Broker]:
    """A broker that has been started; the test is skipped where it cannot be."""
    make = BROKERS[name]
    pytest.importorskip(make.module, reason=f"needs {make.module}")
    program = {"redis": "redis-server", "mqtt": "mosquitto"}.get(name)
    if program and shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
        pytest.skip(f"needs {program}, which is not there")
    folder.mkdir(exist_ok=True)
    broker = make(folder)
    broker.start()
    try:
        yield broker
    finally:
        broker.end()
