"""The options of a challenger, which are some of those of the command, in a text."""

from __future__ import annotations

import argparse
import shlex
from typing import Any, NoReturn

from ...core.cells.table import CELLS
from .optimizers import OPTIMIZERS
from .values import number, number_or_none, whole

__all__ = ["challenger_options"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"--challenger: {message}")


def challenger_options(text: str) -> dict[str, Any]:
    """What a `text` as ``--lr 0.01 --hidden 64`` says, by the names of `Settings`. Raises ValueError."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("--cell", choices=list(CELLS))
    for name in ("hidden", "layers"):
        add(f"--{name}", type=whole(1))
    add("--seed", type=whole(0))
    add("--optimizer", choices=list(OPTIMIZERS))
    add("--lr", type=number)
    add("--clip", type=number_or_none, default=argparse.SUPPRESS)
    try:
        found = vars(parser.parse_args(shlex.split(text)))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if message.startswith("--challenger") else f"--challenger: {message}") from None
    options = {name: value for name, value in found.items() if value is not None or name == "clip"}
    if not options:
        raise ValueError("--challenger: expected options, as '--lr 0.01 --hidden 64', got none")
    return options
