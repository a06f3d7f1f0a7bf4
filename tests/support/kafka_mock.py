"""A cluster of Kafka in a process of its own, confluent-kafka's mock; it prints where. A line cuts its connections."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress

from confluent_kafka import Producer


def cut(port: int) -> None:
    """End the connections that come in at `port`."""
    for name in os.listdir("/proc/self/fd"):
        with suppress(OSError), socket.socket(fileno=os.dup(int(name))) as sock:
            if sock.getsockname()[1] == port and sock.getpeername():
                sock.shutdown(socket.SHUT_RDWR)


def main() -> None:
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "none", "log_level": 0})
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    print(f"{broker.host}:{broker.port}", flush=True)
    for _ in sys.stdin:  # a signal would end a thread of the mock
        cut(broker.port)


if __name__ == "__main__":
    main()
