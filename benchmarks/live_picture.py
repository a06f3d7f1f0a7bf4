"""Draw docs/live.svg: what the command shows on a terminal while it learns from the sensors of examples/live_feeds.py.

It is the command's own display, after so many seconds of ``recurrio train tcp-listen://127.0.0.1:9000 --key device
--features temperature,humidity --target temperature@+1``.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

import trio
from rich.console import Console

from recurrio.core import Adam
from recurrio.pipeline import Report, Trainer, open_records
from recurrio.pipeline.command.live_records import LiveRecords

FEEDS = Path(__file__).parent.parent / "examples" / "live_feeds.py"
ADDRESS = "tcp-listen://127.0.0.1:9000"
WIDTH, HEIGHT = 90, 40  # of the terminal


async def learn(display: LiveRecords, seconds: float) -> None:
    """Let `display` see a run."""

    def note(report: Report) -> None:
        display.report(report, {})

    options = {"key": "device", "features": "temperature,humidity", "target": "temperature@+1"}
    async with open_records(ADDRESS, **options) as records:
        trainer = Trainer(records.model(seed=0), Adam(0.003), clip=1.0)
        with trio.move_on_after(seconds):
            await trainer.run(records, on_report=note)


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("path", type=Path, help="of the SVG")
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen([sys.executable, FEEDS], cwd=folder) as feeds:
        display = LiveRecords(Console(file=StringIO(), width=WIDTH, height=HEIGHT), [ADDRESS])
        try:
            trio.run(learn, display, given.seconds)
        finally:
            feeds.terminate()
    console = Console(file=StringIO(), record=True, width=WIDTH, force_terminal=True)
    console.print(display.group(WIDTH, HEIGHT))
    picture = console.export_svg(title=f"recurrio train {ADDRESS} …")
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)  # which would be fetched from elsewhere
    given.path.write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
