"""What is asked of a run, and what it answers: see docs/serve.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from importlib import resources
from typing import Any

import msgspec
import trio

from ...core.base.checks import ArgumentError
from .access import Access
from .answers import MOST, predict
from .http import Request, Response, refusal
from .metrics import EXPOSITION, exposition
from .openapi import document
from .status import Status

__all__ = ["App"]

TICK = 0.5  # seconds between two events
HISTORY = ("tokens", "loss", "lr", "record", "metric", "naive")
HTML, SCRIPT, STYLE = [f"text/{kind}; charset=utf-8" for kind in ("html", "javascript", "css")]
SCRIPTS = ("page", "parts", "forecast", "chart", "history", "text", "uplot")
PAGE = {
    "/": ("page.html", HTML),
    **{f"/{name}.js": (f"{name}.js", SCRIPT) for name in SCRIPTS},
    **{f"/{name}.css": (f"{name}.css", STYLE) for name in ("page", "uplot")},
}
SAFE = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src data:",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
ENCODE = msgspec.json.Encoder(enc_hook=float).encode  # NumPy's numbers; what is not finite becomes null

Answer = Callable[[Request], Awaitable[Response]]


class App:
    """Answers requests about the run of `status`, to those whom `access` lets pass.

    `on_problem` is told, in a line, where an answer could not be made.
    """

    def __init__(self, status: Status, access: Access, on_problem: Callable[[str], None] = lambda text: None) -> None:
        self._status, self._access, self._on_problem = status, access, on_problem
        self._routes: dict[str, dict[str, Answer]] = {
            "/healthz": {"GET": self._health},
            "/readyz": {"GET": self._ready},
            "/status": {"GET": self._state},
            "/metrics": {"GET": self._metrics},
            "/history": {"GET": self._history},
            "/events": {"GET": self._events},
            "/predictions": {"GET": self._predictions},
            "/predict": {"POST": self._predict},
            "/openapi.json": {"GET": self._document},
            **{path: {"GET": self._page} for path in PAGE},
        }

    async def __call__(self, request: Request) -> Response:
        """The answer; whatever goes wrong, there is one."""
        refused = self._access.refuse(request)
        if refused is not None:
            return refused
        ways = self._routes.get(request.path)
        if ways is None:
            return refusal(404, f"there is no {request.path[:100]}")
        answer = ways.get("GET" if request.method == "HEAD" else request.method)
        if answer is None:
            return refusal(405, f"{request.path} is for {', '.join(ways)}", {"Allow": ", ".join(ways)})
        try:
            return await answer(request)
        except Exception as error:
            self._on_problem(f"{request.method} {request.path}: {type(error).__name__}: {error}")
            return refusal(500, "the answer could not be made")

    async def _health(self, request: Request) -> Response:
        degraded = self._status.degraded()
        return _json({"status": "degraded" if degraded else "ok", "degraded": degraded})

    async def _ready(self, request: Request) -> Response:
        if self._status.ready:
            return _json({"ready": True})
        return Response(503, ENCODE({"ready": False, "error": "no batch has been applied yet"}))

    async def _state(self, request: Request) -> Response:
        return _json(self._status.now())

    async def _history(self, request: Request) -> Response:
        history = self._status.trainer.history
        columns = {name: getattr(history, name).tolist() for name in HISTORY}
        return _json({"seconds": history.time.tolist(), "step": history.batch.tolist(), **columns})

    async def _metrics(self, request: Request) -> Response:
        return Response(200, exposition(self._status), EXPOSITION)

    async def _document(self, request: Request) -> Response:
        records = self._status.records
        return _json(document(None if records is None else records.encoder.schema))

    async def _page(self, request: Request) -> Response:
        name, kind = PAGE[request.path]
        return Response(200, resources.files(__package__).joinpath("static", name).read_bytes(), kind, SAFE)

    async def _events(self, request: Request) -> Response:
        return Response(200, self._states(), "text/event-stream; charset=utf-8", {"Cache-Control": "no-store"})

    async def _states(self) -> AsyncGenerator[bytes]:
        """The state, whenever there is a new one: a client that is slow gets fewer."""
        while True:
            yield b"event: status\ndata: " + ENCODE(self._status.now()) + b"\n\n"
            await trio.sleep(TICK)

    async def _predictions(self, request: Request) -> Response:
        recent, records = self._status.recent, self._status.records
        if recent is None or records is None:
            return refusal(409, "this run makes no forecasts of records")
        keyed, key = records.encoder.schema.key is not None, request.query.get("key")
        if keyed and key is None:
            return refusal(422, "the key is missing: /predictions?key=…")
        lines = recent.of(key if keyed else None)
        if keyed and not lines:
            return refusal(404, "no forecast of this key is remembered; the next ones will be")
        return _json({"key": key if keyed else None, "predictions": lines})

    async def _predict(self, request: Request) -> Response:
        records = self._status.records
        if records is None or self._status.recent is None:
            return refusal(409, "this run makes no forecasts of records")
        try:
            given: Any = msgspec.json.decode(request.body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return refusal(400, f"a record, or a list of them, in JSON was expected: {error}")
        items = given if isinstance(given, list) else [given]
        if not all(isinstance(item, dict) for item in items):
            return refusal(422, "a record is an object of fields and values")
        if len(items) > MOST:
            return refusal(413, f"a request has at most {MOST:,} records")
        if not self._status.ready:
            return refusal(503, "no batch has been applied yet")
        try:
            lines = await predict(self._status.trainer, records, items)
        except ArgumentError as error:
            return refusal(422, str(error))
        except trio.TooSlowError:
            return refusal(503, "the run is too busy to say")
        if not isinstance(given, list) and lines[0].reason is not None:
            return refusal(422, lines[0].reason)
        return _json(lines if isinstance(given, list) else lines[0])


def _json(value: object) -> Response:
    return Response(200, ENCODE(value))
