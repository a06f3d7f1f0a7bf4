"""A parser of command lines that fails in a line, and says with what the command computes."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from typing import Any, NoReturn

import numpy as np

from ...core.base.compiled import INSTRUCTIONS, MISSING
from .values import names

__all__ = ["Parser", "Version", "say_what_is_missing"]


def say_what_is_missing() -> None:
    """Say on standard error that there are no compiled kernels; pip has hidden it."""
    if MISSING:
        print(f"recurrio: {MISSING}", file=sys.stderr)


class Parser(argparse.ArgumentParser):
    """One whose errors and help end the command with no more than is to be said."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")

    def print_help(self, file: Any = None) -> None:  # noqa: ANN401 (argparse's signature)
        print(self.format_help(), end="", file=file)  # argparse's own says nothing where it cannot write

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 (argparse's signature)
        """As argparse does it; but what follows an option that takes a text is its value, even with a dash in front."""
        words = list(args)
        texts = {
            name
            for name, action in self._option_string_actions.items()
            if name.startswith("--") and action.nargs is None and action.type in (None, names) and not action.choices
        }
        for index in range(len(words) - 1, 0, -1):
            value = words[index]
            if words[index - 1] in texts and value[:1] == "-" and value not in ("--", *self._option_string_actions):
                words[index - 1 : index + 1] = [f"{words[index - 1]}={value}"]
        return super().parse_known_args(words, namespace)


class Version(argparse.Action):
    """What a report of a fault should name: the last bits of results depend on all of it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        ours, python = version("recurrio"), ".".join(map(str, sys.version_info[:3]))
        print(f"recurrio {ours} (Python {python}, NumPy {np.__version__}, kernels: {INSTRUCTIONS})")
        say_what_is_missing()
        parser.exit()
