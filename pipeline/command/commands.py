"""The commands, and what their ends say: a message of one line, and an exit code."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from functools import partial

import trio

from ...core.base.files import try_file
from ...core.base.safetensors import WeightsError
from ...core.optim.updater import NonFiniteError
from ..observe.timeline import Timeline
from ..sources import SourceError
from .demo import demo
from .display import open_display
from .folder import RunFolder
from .generate import generate
from .options import parse, say_what_is_missing
from .settings import Settings
from .signals import Interrupts
from .train import Outcome, train_text

__all__ = ["run"]


def run(words: Sequence[str], interrupts: Interrupts) -> int:
    """Do what the command line `words` say; the exit code."""
    try:
        arguments = parse(words)
        say_what_is_missing()
        if arguments.command == "generate":
            return generate(arguments)
        return {"train": _train, "demo": _demo}[arguments.command](arguments, interrupts)
    except SystemExit as end:  # argparse's, after --help or a wrong option
        return int(end.code or 0)
    except BrokenPipeError:  # whoever read our output has had enough
        return 0
    except (SourceError, NonFiniteError, WeightsError, FloatingPointError, OSError, MemoryError) as error:
        return _fail(_describe(error))
    except ValueError as error:
        return _fail(str(error), 2)


def _train(arguments: argparse.Namespace, interrupts: Interrupts) -> int:
    options = vars(arguments)
    named, overwrite, as_json, trace, picture = (
        options.pop(name) for name in ("out", "overwrite", "json", "trace", "timeline")
    )
    settings = Settings(**{name: value for name, value in options.items() if name != "command"})
    if overwrite and named is None:
        return _fail("--overwrite: expected --out DIR beside it", 2)
    taken = {os.path.realpath(settings.source): "SOURCE"}
    for option, file in (("--trace", trace), ("--timeline", picture)):
        if file is None:
            continue
        try:
            try_file(file)
        except OSError as error:
            return _fail(f"{option} {file or repr(file)}: {error.strerror}")
        place = os.path.realpath(file)
        if place in taken and (os.path.isfile(place) or not os.path.lexists(place)):
            return _fail(f"{option} {file}: is {taken[place]} already", 2)
        taken[place] = option
    with interrupts.hold():
        try:
            folder = RunFolder(named, overwrite=overwrite)
        except OSError as error:
            return _fail(f"{'run' if named is None else f'--out {named}'}: {error.strerror}")
        if (same := taken.get(os.path.realpath(folder.model))) is not None:
            folder.leave()
            return _fail(f"{same}: expected another file than that of the model, {folder.model}", 2)
        timeline = None if trace is None and picture is None else Timeline()
        try:
            with open_display(as_json=as_json) as display:
                outcome = trio.run(partial(train_text, settings, display, interrupts, timeline=timeline))
                try:
                    saved = outcome.save(settings, folder.model)
                except OSError as error:
                    return _fail(f"{folder.model}: {error.strerror}")
        finally:
            folder.leave()
        where = str(folder.model) if saved else None
        if outcome.error is not None:
            return _failed(outcome.error, where)
        display.say(_summary(outcome, settings, where, interrupted=interrupts.number is not None))
        if timeline is not None:
            for file, write in ((trace, timeline.write_trace), (picture, timeline.write_svg)):
                try:
                    if file is not None:
                        interrupts.patiently(partial(write, file))
                except OSError as error:
                    return _fail(f"{file}: {error.strerror}")
    if interrupts.number is not None:
        return 128 + interrupts.number
    return 0 if where is None or math.isfinite(outcome.last()) else 1


def _failed(error: Exception, where: str | None) -> int:
    if isinstance(error, BrokenPipeError):
        raise error
    message = _describe(error) + (f"; the model as it was before is in {where}" if where else "")
    usage = isinstance(error, ValueError) and not isinstance(error, WeightsError)
    return _fail(message, 2 if usage else 1)


def _summary(outcome: Outcome, settings: Settings, where: str | None, *, interrupted: bool) -> str:
    """What a run comes to, in a line."""
    stopped = "interrupted" if interrupted else "done"
    if where is None:
        return f"{stopped} before the first step; nothing was written"
    mean = sum(outcome.losses) / len(outcome.losses)
    if outcome.first is not None and not outcome.last() <= outcome.first:
        stopped += f", but worse than it began (loss {_loss(outcome.first)} at first; a smaller --lr may help)"
    parts = [f"{stopped}: {outcome.steps:,} steps, loss {_loss(mean)} (mean of the last {len(outcome.losses)})"]
    if not interrupted and settings.steps is not None and outcome.steps < settings.steps:
        parts.append(f"the source ended before --steps {settings.steps:,}")
    if outcome.leftover:
        parts.append(f"{outcome.leftover:,} symbols at the end filled no batch")
    if outcome.unknown:
        parts.append(f"{outcome.unknown:,} symbols are none of the vocabulary")
    return "; ".join([*parts, f"wrote {where}"])


def _loss(loss: float) -> str:
    return f"{loss:.4f}" if loss < 1e6 else f"{loss:.3g}"


def _demo(arguments: argparse.Namespace, interrupts: Interrupts) -> int:
    outcome = demo(arguments.seconds, interrupts)
    if outcome.error is not None:
        raise outcome.error
    if interrupts.number is None:
        return 0
    print("interrupted: of a demonstration nothing is kept")
    return 128 + interrupts.number


def _describe(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    return str(error)


def _fail(message: str, code: int = 1) -> int:
    print(f"recurrio: {message}", file=sys.stderr)
    return code
