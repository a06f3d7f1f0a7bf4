"""Runs that are served to a browser, and what stands on their page."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.request import urlopen

import numpy as np
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.serving.server import serve

HOSTILE = "<img src=x onerror=alert(1)>"
KEYS = ("device 1", "device 2", HOSTILE)
Page = Any  # a browser; selenium may be missing


class Run:
    """A run that is served, in a thread, and can be held: then nothing changes any more."""

    def __init__(self, port: int = 0, going: bool = True, text: bool = False, **arguments: Any) -> None:  # noqa: ANN401 (those of Records)
        self.url = ""
        self.going = going
        self._text = text
        self._arguments = {"key": "k", "features": "x", "target": "x@+3", "interval": 0.9} | arguments
        self._scope = trio.CancelScope()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=trio.run, args=(self._run, port))

    def __enter__(self) -> Run:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def get(self, path: str) -> dict[str, Any]:
        with urlopen(f"{self.url}{path}", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def hold(self) -> dict[str, Any]:
        """The status, which will stay so."""
        self.going = False
        before, found = {}, self.get("/status")
        while before.get("records") != found["records"]:
            time.sleep(0.3)
            before, found = found, self.get("/status")
        return found

    async def _run(self, port: int) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            records = None if self._text else Records(self._come(), **self._arguments)
            model = SequenceModel(5, hidden_size=8, seed=0) if records is None else records.model(hidden_size=8, seed=0)
            trainer = Trainer(model, Adam(0.002), clip=1.0, executor="inline")
            async with trio.open_nursery() as nursery:

                async def start(task_status: trio.TaskStatus[str]) -> None:
                    await serve(trainer, records, address=f"127.0.0.1:{port}", task_status=task_status)

                self.url = await nursery.start(start)
                self._ready.set()
                await trainer.run(batches() if records is None else records)

    async def _come(self) -> AsyncIterator[dict[str, Any]]:
        number = 0
        while True:
            while not self.going:  # noqa: ASYNC110 (another thread says so)
                await trio.sleep(0.02)
            number += 1
            level = math.sin(number / 20) + 0.3 * math.sin(number * number)
            yield {"k": KEYS[number % 3], "x": level, "y": -level, "s": "high" if level > 0 else "low"}
            if number % 10 == 0:
                await trio.sleep(0.02)


def batches() -> Iterator[SequenceBatch]:
    rng = np.random.default_rng(0)
    while True:
        yield SequenceBatch(*rng.integers(0, 5, (2, 8, 4), np.int32))


def resize(page: Page, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def until(condition: Callable[[], object], seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def text(page: Page, selector: str) -> str:
    found: str = page.execute_script("return document.querySelector(arguments[0]).textContent", selector)
    return found


def texts(page: Page, selector: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    found: list[str] = page.execute_script(script, selector)
    return found


def facts(page: Page, place: str) -> dict[str, str]:
    return dict(zip(texts(page, f"#{place} dt"), texts(page, f"#{place} dd"), strict=True))


def picture(page: Page, chart: str) -> str:
    found: str = page.execute_script(f"return document.querySelector('#{chart} canvas')?.toDataURL() ?? ''")
    return found


def said(number: float) -> str:
    return f"{number:#.4g}".replace("-", "−")
