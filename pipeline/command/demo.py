"""The demonstration: learn Python's own standard library, and write something like it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
import trio

from ...core.text.text_model import TextModel
from .display import open_display
from .outcome import Outcome
from .settings import Settings
from .signals import Interrupts
from .train import train

__all__ = ["demo"]

CORPUS_BYTES = 6_000_000


def demo(seconds: float, interrupts: Interrupts) -> Outcome:
    """Train for `seconds` on the source of the standard library, shown live, and print a sample."""
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
    text = run.model
    if isinstance(text, TextModel) and run.error is None and interrupts.number is None:
        print("\nWhat it writes after “def ”:\n", flush=True)
        for piece in text.generate("def ", 500, temperature=0.6, rng=np.random.default_rng(0)):
            print(piece, end="", flush=True)
        name = _how_called()
        print(f"\n\nNow on a text of your own: {name} train FILE, then {name} generate run")
    return run


def _how_called() -> str:
    """The command as one can call it again: by its name where the shell finds it so, else by the path that it had."""
    path = sys.argv[0]
    if os.path.basename(path) != "recurrio" or shutil.which("recurrio") == os.path.abspath(path):
        return "recurrio"  # a program that calls `main` has another name
    return shlex.quote(path)


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
