"""The demonstration on a text: learn Python's own standard library, and write something like it."""

from __future__ import annotations

import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import trio

from ...core.text.text_model import TextModel
from .display import open_display
from .how_called import how_called
from .settings import Settings
from .signals import Interrupts
from .train import train

__all__ = ["demo_text"]

CORPUS_BYTES = 6_000_000


def demo_text(seconds: float, interrupts: Interrupts) -> None:
    """Train for `seconds` on the source of the standard library, shown live, and print a sample.

    Raises what a run raises.
    """
    with (
        interrupts.hold(),
        tempfile.TemporaryDirectory(prefix="recurrio-") as folder,
        open_display(as_json=False) as display,
    ):
        corpus = Path(folder) / "standard-library.py"
        files = _write_corpus(corpus)
        display.say(f"Learning Python {sys.version_info.major}.{sys.version_info.minor} from {files} of its own files.")
        settings = Settings((str(corpus),), lr=0.004, epochs=1000, delay=1)  # so that the stages overlap
        run = trio.run(train, settings, display, interrupts, seconds)
    if run.error is not None:
        raise run.error
    text = run.model
    if isinstance(text, TextModel) and interrupts.number is None:
        print("\nWhat it writes after “def ”:\n", flush=True)
        for piece in text.generate("def ", 500, temperature=0.6, rng=np.random.default_rng(0)):
            print(piece, end="", flush=True)
        name = how_called()
        print(f"\n\nNow on a text of your own: {name} train FILE, then {name} generate run")


def _write_corpus(path: Path) -> int:
    """Write the ASCII files of the standard library into one, in a fixed order; return how many."""
    size = count = 0
    with path.open("wb") as corpus:
        for source in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
            content = source.read_bytes()
            if content.isascii() and size + len(content) <= CORPUS_BYTES:
                corpus.write(content)
                size, count = size + len(content), count + 1
    return count
