"""Addresses that name a server: their parts, and what of them may be shown."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .source import SourceError

__all__ = ["ServerAddress", "hide", "server_address", "shown"]

LOCAL = "127.0.0.1"
SERVICES = ("redis", "mqtt", "kafka")
HIDDEN = "***"
USER = re.compile(r"^([a-z][a-z0-9+-]*://)[^/?#]*@")
SECRET = re.compile(r"([?&][^=&#]*(?:pass|pw|secret|token|key|auth|sig)[^=&#]*=)[^&#]+", re.IGNORECASE)


def shown(address: str) -> str:
    """`address` as messages, reports and checkpoints have it: without a user and a password, tokens as ``***``."""
    return SECRET.sub(rf"\1{HIDDEN}", USER.sub(r"\1", address)) if "://" in address else address


def hide(text: str, address: str) -> str:
    """`text`, which may be of a library, without what of `address` is not to be shown."""
    if shown(address) == address:
        return text
    text = text.replace(address, shown(address))
    user = USER.match(address)
    _, colon, password = address[user.end(1) : user.end() - 1].partition(":") if user is not None else ("", "", "")
    found = [password] if colon else []
    found += [part[0][len(part[1]) :] for part in SECRET.finditer(address)]
    for secret in sorted({*found, *map(unquote, found)} - {""}, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


@dataclass(frozen=True)
class ServerAddress:
    """The parts of ``scheme://user:password@host:port/path?option=value``; ``shown`` stands for it in messages.

    There may be several ``servers``, hosts with their ports, between which are commas.

    User and password may come from the environment instead: ``RECURRIO_REDIS_USER``, ``RECURRIO_REDIS_PASSWORD``, by
    the scheme. A scheme that ends in ``s`` asks for TLS, by the system's authorities or those in the file of the option
    ``ca``.
    """

    shown: str
    servers: tuple[tuple[str, int], ...]
    path: str
    tls: bool
    user: str | None
    password: str | None
    options: Mapping[str, str]

    def tls_context(self) -> ssl.SSLContext | None:
        """What TLS is made with; None where there is none. Raises SourceError."""
        if not self.tls:
            return None
        try:
            return ssl.create_default_context(cafile=self.options.get("ca"))
        except (OSError, ssl.SSLError) as error:
            raise SourceError(f"{self.shown}: ca: {error.strerror or error}") from None


def server_address(address: str, what: str, ports: tuple[int, int], options: Collection[str]) -> ServerAddress:
    """The parts of `address`, whose path is `what`, as messages say; `ports` are those without and with TLS.

    It may have these `options`, and ``ca``. Raises SourceError.
    """
    name = shown(address)
    expected = f"{name}: expected {address.partition('://')[0]}://host:port/{what}"
    try:
        parts = urlsplit(address, allow_fragments=False)  # "#" is all topics of MQTT
        hosts = [urlsplit(f"//{one}") for one in parts.netloc.rpartition("@")[2].split(",")]
        service = next(one for one in SERVICES if parts.scheme in (one, f"{one}s"))
        tls = parts.scheme != service
        servers = [(one.hostname or LOCAL, ports[tls] if one.port is None else one.port) for one in hosts]
    except ValueError:
        raise SourceError(expected) from None
    path = unquote(parts.path.removeprefix("/"))
    if not path:
        raise SourceError(expected)
    given = {}
    for part in filter(None, parts.query.split("&")):
        option, _, value = part.partition("=")
        if option not in (*options, "ca") or not value:
            there = ", ".join(f"{one}=…" for one in (*options, "ca"))
            raise SourceError(f"{name}: expected options {there}")
        given[option] = unquote(value)
    user, password = (
        os.environ.get(f"RECURRIO_{service.upper()}_{part}") if given_here is None else unquote(given_here)
        for part, given_here in (("USER", parts.username or None), ("PASSWORD", parts.password))
    )
    return ServerAddress(name, tuple(servers), path, tls, user, password, given)
