"""Draw a run of ``recurrio demo``: docs/demo.svg, what a terminal shows, and docs/page-*.png, its page meanwhile.

Needs pyte, a terminal in memory; selenium, pillow, chromium and chromedriver.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
from io import BytesIO, StringIO
from pathlib import Path

import pyte
from PIL import Image
from rich.console import Console
from rich.text import Text
from selenium import webdriver

COLUMNS, ROWS = 90, 20  # of the terminal
PICTURES = {"light": (1120, "light"), "dark": (1120, "dark"), "phone": (390, "light")}  # pixels, and the colours
COLOURS = {"brown": "yellow"}  # pyte's names, and rich's
DRAWN = 14.0  # seconds that the pictures of the page take


def watch(terminal: int, screen: pyte.HistoryScreen, came: list[str]) -> None:
    """Show on `screen` what is written to `terminal`, to its end; and keep it, as it `came`."""
    stream = pyte.Stream(screen)
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # the end of a terminal
            return
        came.append(data.decode(errors="replace"))
        stream.feed(came[-1])


def said(came: list[str], pattern: str) -> str:
    """Wait until something is said, and the last of it."""
    while not (found := re.findall(pattern, "".join(came))):
        time.sleep(0.1)
    return str(found[-1])


def lines_of(screen: pyte.HistoryScreen) -> list[Text]:
    """What is on the screen, and above it."""
    found = []
    for row in [*screen.history.top, *(screen.buffer[y] for y in range(screen.lines))]:
        line = Text()
        for x in range(screen.columns):
            colour = COLOURS.get(row[x].fg, row[x].fg)
            line.append(row[x].data, style=f"bold {colour}" if row[x].bold else colour)
        line.rstrip()
        found.append(line)
    while found and not found[-1].plain:
        found.pop()
    return found


def draw_terminal(screen: pyte.HistoryScreen, path: Path) -> None:
    """Write the picture of what the terminal has shown."""
    console = Console(file=StringIO(), record=True, width=COLUMNS, force_terminal=True)
    for line in lines_of(screen):
        console.print(line, no_wrap=True)
    picture = console.export_svg(title="recurrio demo")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # which would be fetched from elsewhere
    path.write_text(picture, encoding="utf-8")


def draw_page(url: str, folder: Path, seconds: float) -> None:
    """Look for so many seconds, then write the pictures of the page."""
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
            picture = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE)
            picture.save(folder / f"page-{name}.png", optimize=True)


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of the pictures")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    ours, theirs = pty.openpty()
    command = Path(sys.executable).with_name("recurrio")
    os.environ |= {"COLUMNS": str(COLUMNS), "LINES": str(ROWS), "TERM": "xterm-256color"}
    os.environ["PATH"] = f"{command.parent}:{os.environ['PATH']}"  # so that it has its name alone
    words = [command, "demo", "--seconds", str(given.seconds)]
    screen, came = pyte.HistoryScreen(COLUMNS, ROWS, history=1000), list[str]()
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as process:
        os.close(theirs)
        watching = threading.Thread(target=watch, args=(ours, screen, came))
        watching.start()
        said(came, "(going on) from step")
        draw_page(said(came, r"Look at it: (\S+)"), given.folder, given.seconds / 2 - DRAWN)
    watching.join()
    if process.returncode:
        sys.exit(f"recurrio demo has ended with the code {process.returncode}")
    draw_terminal(screen, given.folder / "demo.svg")


if __name__ == "__main__":
    main()
