"""The `recurrio` command.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted (143 for SIGTERM). Whatever goes wrong is one line on
standard error.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import chain
from typing import NoReturn

import numpy as np
import trio

from ...core.base.compiled import INSTRUCTIONS, MISSING
from ...core.base.safetensors import WeightsError
from ...core.cells.table import CELLS
from ...core.optim.updater import NonFiniteError
from ...core.text.text_model import TextModel
from ...core.text.vocabulary import ByteVocabulary
from ..executors import AUTO, EXECUTORS
from ..observe.timeline import Timeline
from ..sources import SourceError
from .demo import demo
from .display import open_display
from .train import OPTIMIZERS, Settings, checkpoint_path, prepare_folder, save, train_text, try_file

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


class _Version(argparse.Action):
    """What a report of a fault should name: the last bits of results depend on all of it."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        ours, python = version("recurrio"), ".".join(map(str, sys.version_info[:3]))
        print(f"recurrio {ours} (Python {python}, NumPy {np.__version__}, kernels: {INSTRUCTIONS})")
        _say_what_is_missing()
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


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a finite number above 0, got {text!r}")
    return value


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else _number(text)


def _temperature(text: str) -> float:
    return 0.0 if text in ("0", "0.0") else _number(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="recurrio", description="Train recurrent networks on text that is still arriving.")
    help_ = "show the version and what it computes with"
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help=help_)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train on a text and write a checkpoint")
    add = train.add_argument
    default = Settings("")
    add("source", metavar="SOURCE", help="a file, or - for standard input")
    add("--cell", choices=list(CELLS), default=default.cell, help="recurrent cell (%(default)s)")
    for name, help_ in (
        ("--hidden", "hidden units of each layer"),
        ("--layers", "recurrent layers"),
        ("--embedding", "size of a symbol's vector"),
        ("--batch-size", "lanes: sequences trained on side by side"),
        ("--seq-len", "time steps of a batch"),
        ("--shards", "slices of the lanes that compute at once"),
    ):
        value = getattr(default, name[2:].replace("-", "_"))
        add(name, type=_whole(1), default=value, metavar="N", help=f"{help_} (%(default)s)")
    add("--steps", type=_whole(1), metavar="N", help="stop after N batches, reading a file as often as that takes")
    add("--epochs", type=_whole(1), metavar="N", help="times over a file (1 where --steps is not given)")
    help_ = "what a symbol is: chars, bytes, or those of a text or model.safetensors (%(default)s)"
    add("--vocabulary", default=default.vocabulary, metavar="KIND|FILE", help=help_)
    add("--encoding", metavar="NAME", help="of the text, any that Python knows (utf-8)")
    add("--optimizer", choices=list(OPTIMIZERS), default=default.optimizer, help="(%(default)s)")
    rates = ", ".join(f"{rate} for {name}" for name, (_, rate) in OPTIMIZERS.items())
    add("--lr", type=_number, metavar="RATE", help=f"learning rate ({rates})")
    add(
        "--clip",
        type=_number_or_none,
        default=default.clip,
        metavar="NORM",
        help="largest gradient norm, or none (%(default)s)",
    )
    add("--delay", type=_whole(0), default=0, metavar="N", help="planned age of a batch's parameters (%(default)s)")
    add("--executor", choices=[AUTO, *EXECUTORS], default="auto", help="where the passes compute (%(default)s)")
    help_ = "end the run when a stage hangs for so long, or none (%(default)s)"
    add("--watchdog", type=_number_or_none, default=default.watchdog, metavar="SECONDS", help=help_)
    add("--seed", type=_whole(0), default=0, metavar="N", help="of the initial weights (%(default)s)")
    add("--trace", metavar="FILE", help="write who computed what when, for Perfetto or chrome://tracing")
    add("--timeline", metavar="FILE", help="draw that of the last batches, as an SVG picture")
    add("--out", default="run", metavar="DIR", help="folder of the checkpoint (%(default)s)")
    add("--json", action="store_true", help="one JSON object a line for every batch")

    generate = commands.add_parser("generate", help="write text with a trained model")
    add = generate.add_argument
    add("checkpoint", metavar="CHECKPOINT", help="a model.safetensors file, or the folder it is in")
    add("--prompt", default="", metavar="TEXT", help="what to write on from")
    add("--length", type=_whole(0), default=400, metavar="N", help="symbols to write (%(default)s)")
    add("--temperature", type=_temperature, default=0.8, metavar="X", help="0 takes the likeliest (%(default)s)")
    add("--seed", type=_whole(0), default=0, metavar="N", help="of the draws (%(default)s)")

    show = commands.add_parser("demo", help="watch the pipeline learn Python's own source code for half a minute")
    show.add_argument("--seconds", type=_number, default=20.0, metavar="S", help="of training (%(default)s)")
    return parser


def _train(arguments: argparse.Namespace) -> int:
    options = vars(arguments)
    folder, as_json, trace, picture = (options.pop(name) for name in ("out", "json", "trace", "timeline"))
    settings = Settings(**{name: value for name, value in options.items() if name != "command"})
    try:
        prepare_folder(folder)
    except OSError as error:
        return _fail(f"--out {folder}: {error.strerror}")
    for option, file in (("--trace", trace), ("--timeline", picture)):
        try:
            if file is not None:
                try_file(file)
        except OSError as error:
            return _fail(f"{option} {file}: {error.strerror}")
    timeline = None if trace is None and picture is None else Timeline()
    with open_display(as_json=as_json) as display:
        run = trio.run(partial(train_text, settings, display, timeline=timeline))
    try:
        path = save(run, settings, folder)
    except OSError as error:
        return _fail(f"{checkpoint_path(folder)}: {error.strerror}")
    if timeline is not None:
        for file, write in ((trace, timeline.write_trace), (picture, timeline.write_svg)):
            try:
                if file is not None:
                    write(file)
            except OSError as error:
                return _fail(f"{file}: {error.strerror}")
    if isinstance(run.error, BrokenPipeError):
        raise run.error
    if run.error is not None:
        message = _describe(run.error) + (f"; the model as it was before is in {path}" if path else "")
        usage = isinstance(run.error, ValueError) and not isinstance(run.error, WeightsError)
        return _fail(message, 2 if usage else 1)
    stopped = "interrupted" if run.signal else "done"
    if path is None or run.trainer is None:
        display.say(f"{stopped} before the first step; nothing was written")
    else:
        mean = sum(run.losses) / len(run.losses)
        unused = f"; {run.leftover:,} symbols at the end filled no batch" if run.leftover else ""
        unused += f"; {run.unknown:,} symbols are none of the vocabulary" if run.unknown else ""
        steps = f"{run.trainer.step:,} steps, loss {mean:.4f} (mean of the last {len(run.losses)})"
        display.say(f"{stopped}: {steps}{unused}; wrote {path}")
    return 128 + run.signal if run.signal else 0


def _generate(arguments: argparse.Namespace) -> int:
    path = arguments.checkpoint
    if os.path.isdir(path):
        path = checkpoint_path(path)
    text = TextModel.load(path)
    rng = np.random.default_rng(arguments.seed)
    if isinstance(text.vocabulary, ByteVocabulary) and text.vocabulary.encoding is None:  # what they mean is not known
        prompt, out = os.fsencode(arguments.prompt), sys.stdout.buffer
        pieces = text.generate_bytes(prompt, arguments.length, temperature=arguments.temperature, rng=rng)
        for data in chain([prompt], pieces, [b"\n"]):
            out.write(data)
            out.flush()
        return 0
    print(arguments.prompt, end="", flush=True)
    for piece in text.generate(arguments.prompt, arguments.length, temperature=arguments.temperature, rng=rng):
        print(piece, end="", flush=True)
    print(flush=True)
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    run = demo(arguments.seconds)
    if run.error is not None:
        raise run.error
    return 128 + run.signal if run.signal else 0


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _fail(message: str, code: int = 1) -> int:
    print(f"recurrio: {message}", file=sys.stderr)
    return code


def _say_what_is_missing() -> None:
    if MISSING:  # pip has hidden it
        print(f"recurrio: {MISSING}", file=sys.stderr)


def main() -> int:
    """Outcome the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):  # text of any alphabet, whatever the locale
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        arguments = _parser().parse_args()
        _say_what_is_missing()
        return {"train": _train, "generate": _generate, "demo": _demo}[arguments.command](arguments)
    except BrokenPipeError:
        # Whoever read our output has had enough. Nothing more may go there, not even at interpreter exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except (SourceError, NonFiniteError, WeightsError, OSError, MemoryError) as error:
        return _fail(_describe(error))
    except ValueError as error:
        return _fail(str(error), 2)
