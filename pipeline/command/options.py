"""The options of the command, and what they may be."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, NoReturn

import numpy as np

from ...core.base.compiled import INSTRUCTIONS, MISSING
from ...core.cells.table import CELLS
from ..executors import AUTO, EXECUTORS
from .settings import OPTIMIZERS, Settings

__all__ = ["parse", "say_what_is_missing"]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What `words` say: ``command`` and its options. Exits where that is all, as after --help, or it is wrong."""
    return _parser().parse_args(words)


def say_what_is_missing() -> None:
    """Say on standard error that there are no compiled kernels; pip has hidden it."""
    if MISSING:
        print(f"recurrio: {MISSING}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
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
            if name.startswith("--") and action.nargs is None and action.type is None and action.choices is None
        }
        for index in range(len(words) - 1, 0, -1):
            value = words[index]
            if words[index - 1] in texts and value[:1] == "-" and value not in ("--", *self._option_string_actions):
                words[index - 1 : index + 1] = [f"{words[index - 1]}={value}"]
        return super().parse_known_args(words, namespace)


class _Version(argparse.Action):
    """What a report of a fault should name: the last bits of results depend on all of it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        ours, python = version("recurrio"), ".".join(map(str, sys.version_info[:3]))
        print(f"recurrio {ours} (Python {python}, NumPy {np.__version__}, kernels: {INSTRUCTIONS})")
        say_what_is_missing()
        parser.exit()


def _whole(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return value

    return parse


def _number(text: str, *, zero: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
        least = "of at least 0" if zero else "above 0"
        raise argparse.ArgumentTypeError(f"expected a finite number {least}, got {text!r}")
    return value


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else _number(text)


def _temperature(text: str) -> float:
    return _number(text, zero=True)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="recurrio", description="Train recurrent networks on text that is still arriving.")
    help_ = "show the version and what it computes with"
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help=help_)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train on a text and write a model"))
    _add_generate(commands.add_parser("generate", help="write text with a trained model"))
    show = commands.add_parser("demo", help="watch the pipeline learn Python's own source code for half a minute")
    show.add_argument("--seconds", type=_number, default=20.0, metavar="S", help="of training (%(default)s)")
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    """One group for each thing that a person has in mind; a default stands in parentheses."""
    default = Settings("")
    rates = ", ".join(f"{rate} for {name}" for name, (_, rate) in OPTIMIZERS.items())

    def count(group: argparse._ArgumentGroup, name: str, help_: str, least: int = 1) -> None:
        value = getattr(default, name[2:].replace("-", "_"))
        group.add_argument(name, type=_whole(least), default=value, metavar="N", help=f"{help_} (%(default)s)")

    data = train.add_argument_group("data")
    data.add_argument("source", metavar="SOURCE", help="a file, or - for standard input")
    help_ = "what a symbol is: chars, bytes, or those of a text or of a model (%(default)s)"
    data.add_argument("--vocabulary", default=default.vocabulary, metavar="KIND|FILE", help=help_)
    data.add_argument("--encoding", metavar="NAME", help="of the text, any that Python knows (utf-8)")
    count(data, "--batch-size", "lanes: sequences trained on side by side")
    count(data, "--seq-len", "time steps of a batch")

    model = train.add_argument_group("model")
    model.add_argument("--cell", choices=list(CELLS), default=default.cell, help="recurrent cell (%(default)s)")
    count(model, "--hidden", "hidden units of each layer")
    count(model, "--layers", "recurrent layers")
    count(model, "--embedding", "size of a symbol's vector")
    count(model, "--seed", "of the initial weights", 0)

    training = train.add_argument_group("training")
    help_ = "stop after N batches, reading a file as often as that takes (no limit)"
    training.add_argument("--steps", type=_whole(1), metavar="N", help=help_)
    help_ = "times over a file (1 where --steps is not given)"
    training.add_argument("--epochs", type=_whole(1), metavar="N", help=help_)
    help_ = "how a gradient changes the weights (%(default)s)"
    training.add_argument("--optimizer", choices=list(OPTIMIZERS), default=default.optimizer, help=help_)
    training.add_argument("--lr", type=_number, metavar="RATE", help=f"learning rate ({rates})")
    help_ = "largest gradient norm, or none (%(default)s)"
    training.add_argument("--clip", type=_number_or_none, default=default.clip, metavar="NORM", help=help_)
    count(training, "--delay", "planned age of a batch's parameters; from 1 on the passes of batches overlap", 0)

    machine = train.add_argument_group("machine")
    help_ = "where the passes compute (%(default)s)"
    machine.add_argument("--executor", choices=[AUTO, *EXECUTORS], default=default.executor, help=help_)
    count(machine, "--shards", "slices of the lanes that compute at once")
    help_ = "end the run when a stage hangs for so long, or none (%(default)s)"
    machine.add_argument("--watchdog", type=_number_or_none, default=default.watchdog, metavar="SECONDS", help=help_)

    output = train.add_argument_group("output")
    help_ = "folder for the model; one with a model in it is refused (run, or the first of run-2, run-3, … not there)"
    output.add_argument("--out", metavar="DIR", help=help_)
    output.add_argument("--overwrite", action="store_true", help="replace the model in the folder of --out")
    output.add_argument("--json", action="store_true", help="one JSON object a line for every batch")
    help_ = "write who computed what when, for Perfetto or chrome://tracing"
    output.add_argument("--trace", metavar="FILE", help=help_)
    output.add_argument("--timeline", metavar="FILE", help="draw that of the last batches, as an SVG picture")


def _add_generate(generate: argparse.ArgumentParser) -> None:
    add = generate.add_argument
    add("checkpoint", metavar="MODEL", help="a model.safetensors file, or the folder it is in")
    add("--prompt", default="", metavar="TEXT", help="what to write on from (a line break)")
    add("--length", type=_whole(0), default=400, metavar="N", help="symbols to write (%(default)s)")
    add("--temperature", type=_temperature, default=0.8, metavar="X", help="0 takes the likeliest (%(default)s)")
    add("--seed", type=_whole(0), default=0, metavar="N", help="of the draws (%(default)s)")
