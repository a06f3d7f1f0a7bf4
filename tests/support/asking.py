"""A client of a run that is served, and runs that are asked by one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import trio

from recurrio.core import Adam
from recurrio.pipeline import Records, Report, Trainer
from support.live import until

GIVEN: dict[str, Any] = {"key": "k", "features": "x,c:category", "target": "x@+1", "seq_len": 4, "batch_size": 6}


class Client:
    """Asks one question after the other."""

    def __init__(self, url: str) -> None:
        self.port = int(url.rpartition(":")[2])

    async def raw(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        lines = [f"{method} {path} HTTP/1.1", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in ({"Host": "127.0.0.1:80"} | headers).items()]
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all("\r\n".join([*lines, "", ""]).encode() + body)
            data = b""
            async for piece in stream:
                data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        return int(head.split()[1]), rest

    async def get(self, path: str, **headers: str) -> Any:  # noqa: ANN401 (what JSON has)
        status, body = await self.raw("GET", path, **headers)
        assert status == 200, body
        return json.loads(body)

    async def predict(self, items: object) -> tuple[int, Any]:
        status, body = await self.raw("POST", "/predict", json.dumps(items).encode())
        return status, json.loads(body)


async def slowly(rows: list[dict[str, Any]], pause: float, bunch: int) -> AsyncIterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), bunch):
        yield rows[start : start + bunch]
        await trio.sleep(pause)


class Run:
    """A run over `rows` that is asked by `ask`, as soon as it has learned something."""

    def __init__(
        self,
        rows: list[dict[str, Any]],
        pause: float = 0.0,
        bunch: int = 1,
        **options: Any,  # noqa: ANN401
    ) -> None:
        running = {name: options.pop(name) for name in ("executor", "delay", "shards") if name in options}
        self.records = Records(slowly(rows, pause, bunch), **GIVEN | options)
        model = self.records.model(hidden_size=5, seed=1)
        self.trainer = Trainer(model, Adam(0.01), clip=1.0, **{"executor": "inline"} | running)
        self.versions: dict[int, bytes] = {0: model.parameters.tobytes()}
        self.problems: list[str] = []
        self.finished = False

    def note(self, report: Report) -> None:
        self.versions[report.step] = self.trainer.model.parameters.tobytes()

    async def go(self, ask: Callable[[Client], Any] | None = None, **serving: Any) -> None:  # noqa: ANN401
        async def run() -> None:
            await self.trainer.run(self.records, on_report=self.note, report_every=1)
            self.finished = True

        if ask is None:
            await run()
            return
        from recurrio.pipeline.serving.server import serve  # which needs h11

        async with trio.open_nursery() as nursery:
            how = partial(serve, self.trainer, self.records, on_problem=self.problems.append, **serving)
            client = Client(await nursery.start(how))
            async with trio.open_nursery() as both:
                both.start_soon(run)
                await until(lambda: self.trainer.step > 0)
                await ask(client)
            nursery.cancel_scope.cancel()
        assert not self.problems
