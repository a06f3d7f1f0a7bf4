"""Draw docs/page-light.png, page-dark.png and page-phone.png: the page of a run over examples/live_feeds.py.

Needs selenium, pillow, chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from io import BytesIO
from pathlib import Path

import trio
from PIL import Image
from selenium import webdriver

from recurrio.core import Adam
from recurrio.pipeline import Trainer, open_records
from recurrio.pipeline.serving.server import serve

FEEDS = Path(__file__).parent.parent / "examples" / "live_feeds.py"
PICTURES = {"light": (1120, "light"), "dark": (1120, "dark"), "phone": (390, "light")}  # pixels, and the colours


def draw(url: str, folder: Path, seconds: float) -> None:
    """Look for so many seconds, then write the pictures."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.get(url)
        time.sleep(seconds)
        for name, (width, colours) in PICTURES.items():
            scheme = {"name": "prefers-color-scheme", "value": colours}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            height = 800
            for _ in range(2):  # the second time as high as it has become
                size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
                browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
                time.sleep(1.5)
                height = browser.execute_script("return document.documentElement.scrollHeight")
            picture = Image.open(BytesIO(browser.get_screenshot_as_png()))
            picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE).save(
                folder / f"page-{name}.png", optimize=True
            )


async def learn(folder: Path, seconds: float) -> None:
    """Train on what the sensors send, until the pictures are there."""
    options = {"key": "device", "features": "temperature,humidity", "target": "temperature@+1", "interval": 0.9}
    async with open_records("tcp-listen://127.0.0.1:9000", drift="adwin", **options) as records:
        trainer = Trainer(records.model(seed=0), Adam(0.003), clip=1.0)
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve, trainer, records))
            nursery.start_soon(trainer.run, records)
            await trio.to_thread.run_sync(draw, url, folder, seconds)
            nursery.cancel_scope.cancel()


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the pictures")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen([sys.executable, FEEDS], cwd=folder) as feeds:
        try:
            trio.run(learn, given.folder, given.seconds)
        finally:
            feeds.terminate()


if __name__ == "__main__":
    main()
