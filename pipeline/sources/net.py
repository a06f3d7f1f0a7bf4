"""What sockets have in common: hosts and ports, who may be listened to, and connections that have died."""

from __future__ import annotations

import ipaddress
import os
import random
import socket
import ssl
from contextlib import suppress

import trio

from .source import SourceError
from .transport import Opening

__all__ = ["Backoff", "check_remote", "host_and_port", "keep_alive", "named", "reason_of"]

LOCAL = "127.0.0.1"
ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}  # so a peer that has gone is noticed in 2 minutes


def host_and_port(rest: str, address: str) -> tuple[str, int]:
    """The two parts of ``host:port`` or ``[host]:port``; this machine where there is no host. Raises SourceError."""
    host, colon, port = rest.rstrip("/").rpartition(":")
    if not colon or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise SourceError(f"{address}: expected host:port, as in {address.partition('//')[0]}//{LOCAL}:9000")
    return host.removeprefix("[").removesuffix("]") or LOCAL, int(port)


def check_remote(host: str, opening: Opening) -> None:
    """Raises SourceError where others than this machine could connect to `host`, and may not."""
    if opening.allow_remote or host == "localhost":
        return
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    raise SourceError(
        f"{opening.address}: other machines could send records there; --allow-remote lets them, and nothing asks who "
        "they are"
    )


def keep_alive(sock: trio.socket.SocketType) -> None:
    """Let the system notice where the other end of a connection has gone. Raises OSError."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ALIVE.items():
            if hasattr(socket, option):  # which not every system has
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def named(peer: object) -> str:
    """A socket's address as text; empty where it has none."""
    if not isinstance(peer, tuple):
        return ""
    return f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"


def reason_of(error: Exception) -> str:
    """Why nobody could be connected to; errors of several attempts, or of a library, hide the system's own."""
    found: BaseException | None = error
    seen = set[int]()  # a library may raise one error again, out of what that has led to
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, ssl.SSLError):  # whose number is none of the system's
            return f"TLS: {getattr(found, 'verify_message', '') or found.reason}"
        if isinstance(found, OSError) and found.errno and found.errno > 0:
            return os.strerror(found.errno)
        found = found.exceptions[0] if isinstance(found, BaseExceptionGroup) else found.__cause__ or found.__context__
    leaf: BaseException = error
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    return str(leaf) or type(leaf).__name__


class Backoff:
    """Waits between attempts: each twice as long as the one before, up to half a minute, and none exactly so long."""

    def __init__(self, first: float = 0.1, most: float = 30.0) -> None:
        self._first, self._most = first, most
        self._next = first

    def reset(self) -> None:
        """An attempt has succeeded."""
        self._next = self._first

    async def wait(self) -> None:
        """Wait until the next attempt is due."""
        seconds, self._next = self._next, min(2 * self._next, self._most)
        await trio.sleep(seconds * random.uniform(0.5, 1.0))
