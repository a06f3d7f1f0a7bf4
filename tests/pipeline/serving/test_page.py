"""The page of a served run, in a browser: it draws while a run trains, and says what the status says."""

from __future__ import annotations

import json
import math
import shutil
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np
import pytest
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.serving.server import serve
from recurrio.pipeline.serving.status import Status

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(DRIVER is None or BROWSER is None, reason="chromium or chromedriver is not installed")

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


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.binary_location = BROWSER
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    resize(found, 1280, 1600)
    yield found
    found.quit()


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


@contextmanager
def looking(page: Page, run: Run) -> Iterator[None]:
    """The page of the run is open, it trains, and all is drawn; in the end nothing was wrong, or from elsewhere."""
    page.get("about:blank")
    page.get_log("browser")
    page.get(run.url)
    until(lambda: text(page, "#state") == "training")
    until(lambda: all(picture(page, f"{name}-chart") for name in ("forecast", "score", "loss")))
    yield
    wrong = [one["message"] for one in page.get_log("browser") if one["level"] == "SEVERE"]
    assert [message for message in wrong if not may_fail(message)] == []
    fetched = page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert {url.rpartition("/")[2] for url in fetched} >= {"uplot.js", "page.css"}
    assert [url for url in fetched if not url.startswith(f"{run.url}/")] == []


def may_fail(message: str) -> bool:
    """Whether a request may have failed: of what not every run has, or of a key that has none."""
    return "404" in message and ("/history" in message or "/predictions?key=%3Cb" in message)


def test_it_draws_while_a_run_trains(page: Page) -> None:
    with Run() as run, looking(page, run):
        for chart in ("forecast-chart", "score-chart", "loss-chart"):
            before = picture(page, chart)
            until(lambda chart=chart, before=before: picture(page, chart) != before)
        assert texts(page, "#stages .name") == [stage["name"] for stage in run.get("/status")["stages"]]


def test_it_says_its_state_in_words(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    with Run(going=False) as run:
        page.get(run.url)
        until(lambda: text(page, "#state") == "waiting for the first record")
        assert "Waiting for the first batch." in text(page, "#loss-chart")
        assert "Waiting for the first truth." in text(page, "#score-chart")
        run.going = True
        until(lambda: text(page, "#state") == "training")
        monkeypatch.setattr(Status, "degraded", lambda self: ["no room for a checkpoint"])
        until(lambda: text(page, "#state") == "degraded: no room for a checkpoint")


def test_its_numbers_are_those_of_the_status(page: Page) -> None:
    with Run() as run, looking(page, run):
        until(lambda: run.get("/status")["records"]["bounds"]["window"].get("coverage") is not None)
        status = run.hold()
        records = status["records"]
        until(lambda: text(page, "#sources td:nth-child(2)") == f"{records['records']:,}")
        until(lambda: facts(page, "facts")["batches"] == f"{status['step']:,}")
        assert facts(page, "facts")["loss of the last"] == said(status["loss"])
        assert facts(page, "facts")["weights, version"] == f"{status['version']:,}"
        counts = facts(page, "counts")
        for name in ("applied", "waiting", "dropped", "rejected", "keys"):
            assert counts[name] == f"{records[name]:,}"
        window, bounds = records["metrics"]["window"], records["bounds"]["window"]
        mae, naive, skill = said(window["mae"]), said(window["naive_mae"]), f"{window['skill']:+.3f}".replace("-", "−")
        count, within = f"{window['count']:,}", f"{100 * bounds['coverage']:.1f} %"
        cells = texts(page, "#score-rows tr:nth-child(2) td")
        assert cells == [f"the last {count}", count, mae, naive, skill, within]
        assert (text(page, "#score"), text(page, "#score-beside")) == (mae, f"the naive one {naive}, skill {skill}")


def test_a_key_is_picked_and_followed(page: Page) -> None:
    with Run() as run, looking(page, run):
        field = page.find_element("id", "key")
        field.clear()
        field.send_keys("device 2\n")
        words, pictures = set[str](), set[str]()

        def moved() -> bool:
            if (now := text(page, "#forecast-read")).startswith("record "):
                words.add(now)
                pictures.add(picture(page, "forecast-chart"))
            return len(words) > 2 and len(pictures) > 2

        until(moved)
        numbers = [int(now.split(":")[0].removeprefix("record ").replace(",", "")) for now in words]
        assert {KEYS[(number + 1) % 3] for number in numbers} == {"device 2"}
        run.hold()
        last = run.get(f"/predictions?key={quote('device 2')}")["predictions"][-1]
        value, low, high = [said(last[name]) for name in ("prediction", "lower", "upper")]
        now = f"record {last['record']:,}: forecast {value} ({low} to {high}), by version {last['version']:,}"
        until(lambda: text(page, "#forecast-read") == now)


def test_what_comes_from_the_data_is_text(page: Page) -> None:
    with Run() as run, looking(page, run):
        until(lambda: HOSTILE in texts(page, "#worst button"))
        place = texts(page, "#worst button").index(HOSTILE)
        page.execute_script("document.querySelectorAll('#worst button')[arguments[0]].click()", place)
        until(lambda: text(page, "#forecast-read").startswith("record "))
        field = page.find_element("id", "key")
        assert field.get_property("value") == HOSTILE
        field.clear()
        field.send_keys("<b>nobody</b>\n")
        until(lambda: "No forecast of “<b>nobody</b>”" in text(page, "#forecast-chart"))
        assert texts(page, "img, #forecast-chart b") == []


def test_it_comes_back_when_the_run_does(page: Page) -> None:
    with Run() as run, looking(page, run):
        port = int(run.url.rpartition(":")[2])
    until(lambda: text(page, "#state").startswith("no connection since "))
    words = text(page, "#state")
    time.sleep(1.2)
    assert text(page, "#state") == words  # since when, not how long: nobody wants to hear that every second
    with Run(port):
        until(lambda: text(page, "#state") == "training")
        before = picture(page, "loss-chart")
        until(lambda: picture(page, "loss-chart") != before)


def test_of_a_text_it_shows_the_loss(page: Page) -> None:
    with Run(text=True) as run:
        page.get(run.url)
        until(lambda: text(page, "#state") == "training" and picture(page, "loss-chart"))
        until(lambda: text(page, "#score-beside").endswith(" bits a token"))
        assert float(text(page, "#score")) == pytest.approx(math.log(5), rel=0.3)  # nats; the tokens are random
        for place in ("forecast", "curve", "fates", "keyed", "score-table"):
            assert not page.find_element("id", place).is_displayed()


def test_the_curves_are_thinned_and_begin_before_the_page(page: Page) -> None:
    script = """
        const [done] = [arguments[arguments.length - 1]];
        import("/history.js").then(({ History }) => {
          const history = new History();
          for (let second = 5000; second < 9000; second += 1) history.add({ seconds: second, loss: second % 2 });
          history.preload({ seconds: [0, 2500, 4999], loss: [3, 2, null], other: [1, 2, 3], step: 7 });
          const { columns } = history;
          history.add({ seconds: 1, loss: 4 });
          done([columns, history.columns]);
        });
    """
    with Run() as run, looking(page, run):
        before, after = page.execute_async_script(script)
    seconds, losses = before["seconds"], before["loss"]
    assert seconds == sorted(seconds)
    assert 300 < len(seconds) <= 1200
    assert {len(column) for column in before.values()} == {len(seconds)}
    assert (seconds[:3], losses[:3], before["other"][:3]) == ([0, 2500, 4999], [3, 2, None], [1, 2, 3])
    assert seconds[-1] == 8999
    assert set(losses[4:-1]) == {0.5}  # the means of those that became one
    assert after == {"seconds": [1], "loss": [4]}  # another run


def test_it_rests_while_nobody_looks(page: Page) -> None:
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
    hide += "document.dispatchEvent(new Event('visibilitychange'))"
    with Run() as run, looking(page, run):
        page.execute_script(hide, True)
        time.sleep(0.2)
        before, step = picture(page, "loss-chart"), facts(page, "facts")["batches"]
        time.sleep(1.3)
        assert (picture(page, "loss-chart"), facts(page, "facts")["batches"]) == (before, step)
        page.execute_script(hide, False)
        until(lambda: facts(page, "facts")["batches"] != step)
        until(lambda: picture(page, "loss-chart") != before)


@pytest.mark.parametrize(
    "arguments",
    [
        {"target": "x@+1,y"},
        {"target": (), "label": "s", "interval": None},
        {"key": None, "target": "x@+1", "interval": None},
    ],
    ids=["several targets", "classes", "without keys"],
)
def test_it_shows_other_runs_also_where_there_is_little_room(page: Page, arguments: dict[str, Any]) -> None:
    resize(page, 360, 700)
    try:
        with Run(**arguments) as run, looking(page, run):
            until(lambda: text(page, "#forecast-read").startswith("record "))
            assert page.execute_script("return document.documentElement.scrollWidth") <= 360
            if "y" in arguments["target"]:
                before = text(page, "#score")
                page.execute_script(
                    "const one = document.getElementById('target'); one.value = 'y';"
                    "one.dispatchEvent(new Event('change'))"
                )
                assert text(page, "#score") != before
    finally:
        resize(page, 1280, 1600)
