"""How the command was called."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

__all__ = ["how_called"]


def how_called() -> str:
    """The command as one can call it again: by its name where the shell finds it so, else by the path that it had."""
    path = sys.argv[0]
    if os.path.basename(path) != "recurrio" or shutil.which("recurrio") == os.path.abspath(path):
        return "recurrio"  # a program that calls `main` has another name
    return shlex.quote(path)
