"""Serving a run: an address, and what is asked there."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import trio

from ...core.base.checks import ArgumentError
from ..checkpoint.checkpoints import Checkpoints
from ..lanes.records import Records
from ..sources import SourceError
from ..sources.net import host_and_port, named, reason_of
from ..training.trainer import Trainer
from .access import LEAST_TOKEN, Access, is_loopback
from .app import App
from .http import Limits, serve_http
from .recent import Recent
from .status import Status

__all__ = ["TOKEN", "find_token", "serve"]

TOKEN = "RECURRIO_TOKEN"  # the environment variable that has the token


def find_token(path: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The token in the file at `path`, or in the environment, if any. Raises OSError, ArgumentError."""
    token = environment.get(TOKEN) if path is None else Path(path).read_text(encoding="utf-8")
    token = None if token is None else token.strip()
    if token is not None and (len(token) < LEAST_TOKEN or not token.isprintable()):
        raise ArgumentError("token", f"at least {LEAST_TOKEN} printable characters", f"{len(token)}")
    return token


async def serve(
    trainer: Trainer,
    records: Records | None = None,
    *,
    address: str = "127.0.0.1:0",
    token: str | None = None,
    checkpoints: Checkpoints | None = None,
    limits: Limits = Limits(),  # noqa: B008 (it cannot change)
    on_problem: Callable[[str], None] = lambda text: None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer at `address` what is asked of `trainer`, and of the `records` that it learns from, until cancelled.

    To be started, with ``nursery.start``, before the run, whose forecasts it then remembers; it gives the address, as a
    URL, with the port that the system chose where that is 0. Beyond this machine it asks for the `token`. Whatever is
    asked, the run goes on as without: see docs/serve.md.

    Raises ArgumentError where `address` is none, is for other machines and there is no token, or cannot be listened
    at.
    """
    try:
        host, port = host_and_port(address, address)
    except SourceError:
        raise ArgumentError("serve", "host:port, as 127.0.0.1:8080", address) from None
    if token is None and not is_loopback(host):
        raise ArgumentError("serve", f"a token for other machines, in {TOKEN} or a file", address)
    recent = None
    if records is not None and records.plan.forecasts:
        records.soon = True
        recent = records.on_forecasts = Recent(records.encoder, records.on_forecasts)
    status = Status(trainer, records, checkpoints, recent)
    if records is not None:
        _listen(records, status)
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise ArgumentError("serve", "an address that is free and this machine's", reason_of(error)) from None
    async with trio.open_nursery() as nursery:
        app = App(status, Access(token), on_problem)
        for listener in listeners:
            nursery.start_soon(serve_http, listener, app, limits)
        where = named(listeners[0].socket.getsockname())
        with suppress(RuntimeError):
            task_status.started(f"http://{where}")


def _listen(records: Records, status: Status) -> None:
    """Let what looks wrong with the records be an event too."""
    before = records.on_warning

    def warn(text: str) -> None:
        status.note(text)
        if before is not None:
            before(text)

    records.on_warning = warn
