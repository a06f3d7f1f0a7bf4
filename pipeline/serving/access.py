"""Who may ask: on this machine anybody, beyond it whoever knows the token."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from contextlib import suppress

from .http import Request, Response, refusal

__all__ = ["LEAST_TOKEN", "Access", "is_loopback"]

OPEN = ("/healthz", "/readyz")  # what orchestrators ask; they learn nothing more
LEAST_TOKEN = 16  # characters
ASK = {"WWW-Authenticate": 'Basic realm="recurrio", charset="UTF-8"'}


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`."""
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    return host == "localhost"


class Access:
    """Lets requests pass that bring `token`, as a bearer or as the password of basic authentication.

    Without a token, those that ask for this machine by one of its own names: a page of another site, whose name has
    been made to mean this machine, has another.
    """

    def __init__(self, token: str | None) -> None:
        self._token = None if token is None else token.encode()

    def refuse(self, request: Request) -> Response | None:
        """Why this request is not to be answered; None where it is."""
        if request.path in OPEN:
            return None
        if self._token is None:
            host = request.headers.get("host", "")
            name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
            return None if is_loopback(name) else refusal(421, "asked for by another name than this machine's own")
        given = _token_of(request.headers.get("authorization", ""))
        if hmac.compare_digest(given, self._token):
            return None
        return refusal(401, "the token is missing, or another", ASK)


def _token_of(header: str) -> bytes:
    kind, _, value = header.partition(" ")
    if kind.lower() == "bearer":
        return value.strip().encode("utf-8", "surrogateescape")
    if kind.lower() == "basic":
        with suppress(ValueError):
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
    return b""
