"""The commands, and what their ends say: a message of one line, and an exit code."""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

from ...core.base.safetensors import WeightsError
from ..checkpoint import CheckpointError
from ..export import ExportError
from ..observe.timeline import Timeline
from ..sinks import is_sink
from ..sources import SourceError, path_of, shown
from .check_leaks import check_leaks
from .demo import demo
from .demo_text import demo_text
from .display import Recorded, open_display
from .export import export
from .folder import RunFolder, model_path
from .generate import generate
from .inspect import inspect
from .job import Sinks
from .options import make_settings, parse
from .outcome import Outcome
from .outputs import Outputs
from .parser import say_what_is_missing
from .predict import predict
from .replay import replay
from .saving import Saving
from .settings import Settings
from .signals import Interrupts
from .summary import summary
from .train import train
from .verify import verify

__all__ = ["run"]

# Those that any signal can end.
ALONE = {
    "check-leaks": check_leaks,
    "export": export,
    "generate": generate,
    "inspect": inspect,
    "predict": predict,
    "replay": replay,
    "verify": verify,
}


def run(words: Sequence[str], interrupts: Interrupts) -> int:
    """Do what the command line `words` say; the exit code."""
    try:
        arguments = parse(words)
        say_what_is_missing()
        if arguments.command in ALONE:
            return ALONE[arguments.command](arguments)
        return {"train": _train, "demo": _demo}[arguments.command](arguments, interrupts)
    except SystemExit as end:  # argparse's, after --help or a wrong option
        return int(end.code or 0)
    except BrokenPipeError:  # whoever read our output has had enough
        return 0
    except (SourceError, CheckpointError, ExportError, WeightsError, ArithmeticError, OSError, MemoryError) as error:
        return _fail(_describe(error))
    except ValueError as error:
        return _fail(str(error), 2)


def _train(arguments: argparse.Namespace, interrupts: Interrupts) -> int:
    settings, named, overwrite = make_settings(arguments), arguments.out, arguments.overwrite
    trace, picture, predictions = arguments.trace, arguments.timeline, arguments.predictions
    resume = arguments.resume or arguments.from_checkpoint is not None
    given = {"--overwrite": overwrite, "--resume": arguments.resume, "--from-checkpoint": resume}
    if named is None and (option := next((name for name, is_given in given.items() if is_given), None)):
        return _fail(f"{option}: expected --out DIR beside it", 2)
    if resume and arguments.checkpoint_every is None:
        return _fail("--checkpoint-every none: makes nothing that --resume could go on with", 2)
    if overwrite and resume:
        return _fail("--overwrite: replaces the run that --resume would go on with; expected one of them", 2)
    if predictions == "-" and arguments.json:
        return _fail("--predictions -: goes to standard output, as --json does; --reports FILE is for both", 2)
    files = {"--trace": trace, "--timeline": picture, "--rejects": arguments.rejects, "--reports": arguments.reports}
    files["--predictions"] = None if predictions in (None, "-") or is_sink(predictions) else predictions
    one = len(settings.sources) == 1
    read = {"SOURCE" if one else f"SOURCE {shown(name)}": name for name in settings.sources}
    if settings.task is not None and settings.task.dev is not None:
        read["--dev"] = settings.task.dev
    read |= {f"--label-from {shown(name)}": name for name in settings.labels}
    outputs = Outputs({what: path_of(name) or name for what, name in read.items()})
    for option, file in files.items():
        if file is not None:
            outputs.claim(option, file)
    with interrupts.hold():
        overwrite = overwrite or (named is not None and not resume and settings.repeats(model_path(named)))
        try:
            folder = RunFolder(named, overwrite=overwrite, resume=resume)
        except OSError as error:
            return _fail(f"{'run' if named is None else f'--out {named}'}: {error.strerror}")
        if (same := outputs.owner(folder.model)) is not None:
            folder.leave()
            return _fail(f"{same}: expected another file than that of the model, {folder.model}", 2)
        timeline = None if trace is None and picture is None else Timeline()
        saving = None
        try:
            if arguments.checkpoint_every is not None:
                saving = Saving(folder, settings, every=arguments.checkpoint_every, keep=arguments.keep)
                if resume:
                    saving.find(arguments.from_checkpoint)
                else:
                    saving.begin()
            positions = {} if saving is None else saving.positions
            ways = arguments.report_every, arguments.verbose, arguments.rotate, arguments.serve, arguments.token
            sinks = Sinks(predictions, arguments.rejects, *ways, positions)
            show = {"as_json": arguments.json, "quiet": arguments.quiet, "beside": predictions == "-"}
            show["records"] = None if settings.records is None else tuple(map(shown, settings.sources))
            show["epochs"] = settings.task is not None
            with open_display(**show, reports=arguments.reports, **sinks.how("reports")) as display:
                if saving is not None and isinstance(display, Recorded):
                    saving.checkpoints.reports = display
                more = {"timeline": timeline, "sinks": sinks, "saving": saving, "init": arguments.init}
                job = partial(train, settings, display, interrupts, **more)
                outcome = trio.run(job)
                saved, problems = _save(outcome, settings, folder, saving)
        finally:
            if saving is not None:
                saving.journals.close()
            folder.leave()
        if problems:
            return _fail("; ".join(problems))
        where = str(folder.model) if saved else None
        if outcome.error is not None:
            return _failed(outcome.error, where)
        display.say(summary(outcome, settings, where, interrupted=interrupts.number is not None))
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


def _save(outcome: Outcome, settings: Settings, folder: RunFolder, saving: Saving | None) -> tuple[bool, list[str]]:
    """Write the model, and a checkpoint that could not be written, in a second place where the first has no room.

    Whether there was a model to be written, and what went wrong.
    """
    saved, problems, second = False, list[str](), ""
    try:
        saved = outcome.save(settings, folder.model)
    except OSError as error:
        problems.append(f"{folder.model}: {error.strerror}")
    if not problems and (saving is None or saving.checkpoints.problem is None):
        return saved, []
    try:
        second = tempfile.mkdtemp(prefix="recurrio-")
        if problems:
            outcome.save(settings, model_path(second))
            problems.append(f"the model is in {model_path(second)}")
        if saving is not None and (said := saving.rescue(Path(second))) is not None:
            problems.append(said)
    except OSError as error:
        problems.append(f"nor in {second or tempfile.gettempdir()}: {error.strerror}")
        with suppress(OSError):
            os.rmdir(second)
    return saved, problems


def _failed(error: Exception, where: str | None) -> int:
    if isinstance(error, BrokenPipeError):
        raise error
    message = _describe(error) + (f"; the model as it was before is in {where}" if where else "")
    usage = isinstance(error, ValueError) and not isinstance(error, WeightsError)
    return _fail(message, 2 if usage else 1)


def _demo(arguments: argparse.Namespace, interrupts: Interrupts) -> int:
    held = True
    if arguments.what == "text" and arguments.open:
        return _fail("--open: expected the demonstration of records, which has a page, got that of a text", 2)
    if arguments.what == "text":
        demo_text(arguments.seconds, interrupts)
    else:
        held = demo(arguments.seconds, interrupts, browse=arguments.open)
    if interrupts.number is None:
        return 0 if held else 1
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
