"""The page of a served run, in a browser: it draws while a run trains, and says what the status says."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from support.page import HOSTILE, KEYS, Page, Run, facts, picture, resize, said, text, texts, until

from recurrio.pipeline.serving.status import Status

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
DRIVER = shutil.which("chromedriver")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(DRIVER is None or BROWSER is None, reason="chromium or chromedriver is not installed")


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
    """Whether a request may have failed: of a key that has no forecasts."""
    return "404" in message and "/predictions?key=%3Cb" in message


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


def test_the_curves_begin_before_the_page(page: Page) -> None:
    with Run() as run:
        time.sleep(2)
        begun = run.get("/status")["uptime"]
        with looking(page, run):
            until(lambda: text(page, "#score-read").startswith("now: "))

            def first(chart: str) -> float:
                page.execute_script(
                    "const over = document.querySelector(arguments[0]), { left, top } = over.getBoundingClientRect();"
                    "over.dispatchEvent(new MouseEvent('mousemove', { clientX: left, clientY: top + 9 }))",
                    f"#{chart}-chart .u-over",
                )
                minutes, seconds = text(page, f"#{chart}-read").partition(": ")[0].removeprefix("at ").split(":")
                return 60 * int(minutes) + int(seconds)

            for chart in ("loss", "score"):
                page.execute_script("document.querySelector(arguments[0]).scrollIntoView()", f"#{chart}-chart")
                until(lambda chart=chart: first(chart) < begun - 1)


def test_the_curves_are_thinned(page: Page) -> None:
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
