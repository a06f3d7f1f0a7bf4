"""The options of the command, and what they may be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from ...core.cells.table import CELLS
from ...core.online.drift import DETECTORS
from ...core.optim.actions import ACTIONS
from ..decoding.formats import FORMATS
from ..decoding.options import RecordOptions
from ..executors import AUTO, EXECUTORS
from ..lanes.merged import WHEN_BEHIND
from ..launch import asks_for_mpi
from ..sinks import SINKS
from ..sources import SCHEMES
from ..tasks import TASKS
from .challengers import challenger_options
from .config import words_of
from .optimizers import OPTIMIZERS
from .parser import Parser, Version
from .settings import RECORDS, REPLAYED, TEXT, TEXT_ALONE, RecordSettings, Settings
from .task_options import add_task_options, check_no_task, task_settings
from .values import duration, every, every_or_none, fields_of, names, number, number_or_none, size, temperature, whole

__all__ = ["make_parser", "make_settings", "parse"]

MINUTE, KEPT = 60.0, 3
ASKS_FOR_RECORDS = ("key", "features", "target", "label")


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What `words` say: ``command`` and its options. Exits where that is all, as after --help, or it is wrong.

    Those of a file that --config names come first.
    """
    parser = make_parser()
    given = parser.parse_args(words)
    if getattr(given, "config", None) is None:
        return given
    try:
        more = words_of(given.config)
    except (OSError, ValueError) as error:
        parser.error(f"--config {given.config}: {getattr(error, 'strerror', None) or error}")
    if asks_for_mpi(more) and not asks_for_mpi(words):
        parser.error(
            f"--config {given.config}: executor: expected mpi on the command line, where all ranks look for it"
        )
    at = list(words).index(given.command) + 1
    return parser.parse_args([*words[:at], *more, *words[at:]])


def make_settings(given: argparse.Namespace) -> Settings:
    """The settings that the options of train say. Raises ValueError where they contradict one another."""
    options = {name: value for name, value in vars(given).items() if value is not None}
    records, task, defaults = None, None, TEXT
    read, written = fields_of(RecordSettings, options), fields_of(RecordOptions, options)
    if "task" in options:
        task = task_settings(options)
        defaults = dict(task.kind.settings)
        if "optimizer" in options:  # the learning rate is adam's
            del defaults["lr"]
    else:
        check_no_task(options)
    if task is None and any(name in options for name in ASKS_FOR_RECORDS):
        for name in TEXT_ALONE:
            if name in options:
                raise ValueError(f"--{name}: is for a text, and --features, --target, --label and --key mean records")
        if options.get("format") == "text":
            raise ValueError("--format text: is for a text, and --features, --target, --label and --key mean records")
        if "features" not in options:
            raise ValueError("--features: expected the fields that a model reads, as --features a,b,c:category")
        records = RecordSettings(**read, options=RecordOptions(**written))
        defaults = REPLAYED if records.replay else RECORDS
    elif task is None:
        for name in (*read, *written, "predictions", "rejects", "challenger"):
            if options.get(name, "text") != "text":
                option = f"--{name.replace('_', '-')}"
                raise ValueError(
                    f"{option}: is for records, and --features and --target, or --label, say what these are"
                )
        if len(options["sources"]) > 1:
            raise ValueError(f"SOURCE: expected one, of a text, got {len(options['sources'])}")
    options["sources"] = tuple(options["sources"])
    options["challengers"] = tuple(options.get("challenger", ()))
    for text in options["challengers"]:
        challenger_options(text)  # or an error
    if twice := [text for text in options["challengers"] if options["challengers"].count(text) > 1]:
        raise ValueError(f"--challenger: expected each once, got {twice[0]!r} twice")
    return Settings(**defaults | fields_of(Settings, {**options, "task": task}), records=records)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line, which the documentation also lists the options from."""
    parser = Parser(prog="recurrio", description="Train recurrent networks on data that is still arriving.")
    help_ = "show the version and what it computes with"
    parser.add_argument("--version", action=Version, nargs=0, default=argparse.SUPPRESS, help=help_)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train on records, on a text, or for a task, and write a model"))
    _add_predict(commands.add_parser("predict", help="forecast records, or answer rows, with a trained model"))
    _add_generate(commands.add_parser("generate", help="write text with a trained model"))
    graph = commands.add_parser("export", help="write a trained model as an ONNX graph, for other runtimes")
    graph.add_argument("model", metavar="MODEL", help="a model.safetensors file, or the folder it is in")
    graph.add_argument("onnx", metavar="ONNX", help="the file to write, as model.onnx; one that is there is replaced")
    look = commands.add_parser("inspect", help="say what is in a run's folder, and whether it is whole")
    look.add_argument("model", metavar="MODEL", help="a model.safetensors file, or the folder it is in")
    check = commands.add_parser("verify", help="train once more by the serial loop, from one checkpoint to the next")
    check.add_argument("folder", metavar="DIR", help="the folder of a run")
    leaks = commands.add_parser("check-leaks", help="check that no forecast of records knows what comes after it")
    _add_check_leaks(leaks)
    again = commands.add_parser("replay", help="a batch of a run once more: what was in it, its loss and gradient")
    again.add_argument("folder", metavar="DIR", help="the folder of a run")
    again.add_argument("--step", type=whole(1), required=True, metavar="K", help="the batch, by the step of its report")
    _add_demo(commands.add_parser("demo", help="watch it learn from simulated devices, be killed, and go on"))
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    _add_training(train)
    _add_checkpoints(train.add_argument_group("checkpoints"))
    _add_output(train.add_argument_group("output"))


def _add_check_leaks(check: argparse.ArgumentParser) -> None:
    """Those of train that say what is trained on what, and how."""
    _add_training(check)
    output = check.add_argument_group("check")
    help_ = "after so many records, one at a time, all is changed; they are drawn by --seed (%(default)s)"
    output.add_argument("--places", type=whole(1), default=20, metavar="N", help=help_)
    output.add_argument("--json", action="store_true", help="what was found as JSON, one object")


def _add_training(train: argparse.ArgumentParser) -> None:
    """One group for each thing that a person has in mind; a default stands in parentheses."""
    default = Settings(())
    rates = ", ".join(f"{rate} for {name}" for name, (_, rate) in OPTIMIZERS.items())
    tasks = ", ".join(f"{one} with adam" for one in _of_tasks("lr"))

    def count(group: argparse._ArgumentGroup, option: str, help_: str, least: int = 1) -> None:
        name = option[2:].replace("-", "_")
        value = f"{TEXT[name]}; for records {RECORDS[name]}" if name in TEXT else getattr(default, name)
        value = "; ".join([f"{value}", *_of_tasks(name)])
        group.add_argument(option, type=whole(least), metavar="N", help=f"{help_} ({value})")

    data = train.add_argument_group("data")
    help_ = f"a file, - for standard input, or of records also addresses that begin with {', '.join(SCHEMES)}"
    data.add_argument("sources", metavar="SOURCE", nargs="+", help=help_)
    count(data, "--batch-size", "lanes: sequences, or chunks of as many keys, trained on side by side")
    count(data, "--seq-len", "time steps of a batch")
    text = train.add_argument_group("text")
    help_ = "what a symbol is: chars, bytes, or those of a text or of a model (chars)"
    text.add_argument("--vocabulary", metavar="KIND|FILE", help=help_)
    text.add_argument("--encoding", metavar="NAME", help="of the text, any that Python knows (utf-8)")
    count(text, "--embedding", "size of a symbol's vector")
    help_ = "times over a file (1 where --steps is not given" + "".join(f"; {one}" for one in _of_tasks("epochs")) + ")"
    text.add_argument("--epochs", type=whole(1), metavar="N", help=help_)
    add_task_options(train.add_argument_group("tasks"))
    _add_records(train.add_argument_group("records"))
    _add_forecasts(train.add_argument_group("forecasts of records"))
    _add_late_labels(train.add_argument_group("labels that come later"))
    _add_formats(train.add_argument_group("how records are written"))
    _add_sources(train.add_argument_group("live sources"))

    model = train.add_argument_group("model")
    cells = "; ".join([default.cell, *_of_tasks("cell")])
    model.add_argument("--cell", choices=list(CELLS), help=f"recurrent cell ({cells})")
    count(model, "--hidden", "hidden units of each layer")
    count(model, "--layers", "recurrent layers")
    count(model, "--seed", "of the initial weights, and of what --replay draws", 0)
    help_ = "begin with the weights of another run: its folder, or its model.safetensors"
    model.add_argument("--init", metavar="MODEL", help=help_)

    training = train.add_argument_group("training")
    help_ = "stop after N batches, reading a text as often as that takes (no limit)"
    training.add_argument("--steps", type=whole(1), metavar="N", help=help_)
    help_ = f"how a gradient changes the weights ({default.optimizer})"
    training.add_argument("--optimizer", choices=list(OPTIMIZERS), help=help_)
    training.add_argument("--lr", type=number, metavar="RATE", help=f"learning rate ({rates}; {tasks})")
    help_ = "largest gradient norm, or none (%(default)s)"
    training.add_argument("--clip", type=number_or_none, default=default.clip, metavar="NORM", help=help_)
    help_ = f"where a loss or gradient explodes or is not finite: skip, or stop ({default.on_bad_batch})"
    training.add_argument("--on-bad-batch", choices=("skip", "stop"), help=help_)
    count(training, "--delay", "planned age of a batch's parameters; from 1 on the passes of batches overlap", 0)

    machine = train.add_argument_group("machine")
    help_ = f"where the passes compute; mpi: in the processes of mpiexec ({default.executor})"
    machine.add_argument("--executor", choices=[AUTO, *EXECUTORS], help=help_)
    count(machine, "--shards", "slices of the lanes that compute at once")
    help_ = "end the run when a stage hangs for so long, or none (%(default)s)"
    machine.add_argument("--watchdog", type=number_or_none, default=default.watchdog, metavar="SECONDS", help=help_)
    train.add_argument("--config", metavar="FILE.toml", help="read options from a file, by their names")


def _of_tasks(name: str) -> list[str]:
    """What a setting is of each task, in words."""
    return [f"to {task} {kind.settings[name]}" for task, kind in TASKS.items() if name in kind.settings]


def _add_records(records: argparse._ArgumentGroup) -> None:
    """What is learned; any of --key, --features, --target and --label says that the source has records."""
    default = RecordSettings("")
    add = records.add_argument
    add("--features", metavar="A,B,C:category", help="the fields a model reads: numbers, and texts as categories")
    add("--target", metavar="X@+H,Y", help="numbers to forecast: a field H records ahead, or one of the same record")
    help_ = "or a class to tell, a field of the same record; or of a task the column of the classes (label)"
    add("--label", metavar="Y", help=help_)
    add("--key", metavar="NAME", help="the field that says which stream a record is of")
    help_ = "the field of its time, ISO 8601 or seconds since 1970 (or NAME:ms, :us, :ns)"
    add("--time", metavar="NAME", help=help_)
    add("--per-key", action="store_true", default=None, help="scale numbers by what came of the same key, not of all")
    add("--max-gap", type=duration, metavar="TIME", help="records of a key further apart do not follow one another")
    add("--max-keys", type=whole(1), metavar="N", help=f"then the least recently used go ({default.max_keys})")
    add("--key-ttl", type=duration, metavar="TIME", help="keys go that have had no record for so long (never)")
    help_ = "train on what waits for so long to fill a chunk of T records (until it is full)"
    add("--linger", type=duration, metavar="TIME", help=help_)
    help_ = "learn from a key every N of its records (1, and more where there are many keys, or records)"
    add("--stride", type=whole(1), metavar="N", help=help_)
    help_ = "with each batch learn again from N windows of the past, of 32 steps (0)"
    add("--replay", type=whole(0), metavar="N", help=help_)
    add("--max-classes", type=whole(2), metavar="N", help=f"outputs for a label ({default.max_classes})")
    add("--max-categories", type=whole(1), metavar="N", help=f"values of a category ({default.max_categories})")


def _add_forecasts(forecasts: argparse._ArgumentGroup) -> None:
    """What is said with forecasts of numbers, and of them."""
    add = forecasts.add_argument
    help_ = "compare also with what was N records, or as long, ago, as 48, or 1d, 1w (none)"
    add("--season", type=every, metavar="N|TIME", help=help_)
    help_ = f"watch for errors that become larger, by one of {', '.join(DETECTORS)} (none)"
    add("--drift", choices=[*DETECTORS], metavar="DETECTOR", help=help_)
    help_ = f"then do some of {', '.join(ACTIONS)} (say so)"
    add("--on-drift", metavar="A,B", help=help_)
    help_ = "another model that learns beside, as '--lr 0.01 --hidden 64'; who is better forecasts; several (none)"
    add("--challenger", action="append", metavar="OPTIONS", help=help_)
    help_ = "bounds of each forecast, within which so many truths are, as 0.9 (none)"
    add("--interval", type=number, metavar="SHARE", help=help_)
    help_ = "with these, say of a truth that it is further outside than so many, as 0.999 (none)"
    add("--alarm", type=number, metavar="SHARE", help=help_)


def _add_late_labels(labels: argparse._ArgumentGroup) -> None:
    """The answer of --label, or of --target, comes later, in a record of its own."""
    default = RecordSettings("")
    add = labels.add_argument
    add("--id", metavar="NAME", help="the field by which a label finds its record (id, with --label-from)")
    add("--label-from", metavar="SOURCE", help="where labels come from (from where records do)")
    help_ = "how long a record waits for its label, and a label for its record (for ever, while there is room)"
    add("--label-wait", type=duration, metavar="TIME", help=help_)
    help_ = f"so many records wait, and labels; then the oldest goes ({default.max_waiting})"
    add("--max-waiting", type=whole(1), metavar="N", help=help_)


def _add_sources(sources: argparse._ArgumentGroup) -> None:
    """What is done about sources that are live."""
    default = RecordSettings("")
    help_ = f"where more come than can be learned: {', '.join(WHEN_BEHIND)} ({default.when_behind})"
    sources.add_argument("--when-behind", choices=WHEN_BEHIND, metavar="POLICY", help=help_)
    sources.add_argument("--send", metavar="TEXT", help="what a WebSocket is sent whenever it is connected")
    help_ = "let other machines send records, whoever they are"
    sources.add_argument("--allow-remote", action="store_true", default=None, help=help_)
    help_ = "let a run that is resumed go on where a part of a log is gone"
    sources.add_argument("--allow-gap", action="store_true", default=None, help=help_)


def _add_formats(written: argparse._ArgumentGroup) -> None:
    default = RecordOptions()
    add = written.add_argument
    forms = ", ".join(FORMATS)
    add("--format", choices=["text", *FORMATS], help=f"one of {forms} (by the suffix, else jsonl)", metavar="FORMAT")
    add("--missing", type=names, metavar="A,B", help="values that stand for none, as -9999")
    add("--time-format", metavar="FORMAT", help="of the time, as %%d.%%m.%%Y %%H:%%M")
    add("--delimiter", metavar="C", help="of CSV (,)")
    add("--decimal", metavar="C", help=f"the sign before decimals ({default.decimal})")
    add("--skip-lines", type=whole(0), metavar="N", help="lines above the header of CSV (0)")
    add("--columns", type=names, metavar="A,B", help="the names of the columns, where CSV has no header")
    add("--dtype", metavar="X:f4,K:i8", help="the fields of raw blocks, little-endian")


def _add_checkpoints(checkpoints: argparse._ArgumentGroup) -> None:
    """What makes a run survive its process."""
    add = checkpoints.add_argument
    add("--resume", action="store_true", help="go on with the run in the folder of --out, or begin it")
    add("--from-checkpoint", type=whole(0), metavar="K", help="go on from the checkpoint after K batches")
    help_ = "a checkpoint every N batches, every 10s, 5m, or none (60s; and at the end)"
    add("--checkpoint-every", type=every_or_none, default=MINUTE, metavar="N|TIME|none", help=help_)
    add("--keep", type=whole(1), default=KEPT, metavar="N", help="checkpoints that stay (%(default)s)")


def _add_output(output: argparse._ArgumentGroup) -> None:
    add = output.add_argument
    help_ = "folder for the model; one with a model in it is refused (run, or the first of run-2, run-3, … not there)"
    add("--out", metavar="DIR", help=help_)
    add("--overwrite", action="store_true", help="replace the run in the folder of --out")
    add("--json", action="store_true", help="the reports as JSON, one object a line, on standard output")
    help_ = "a report every N batches, or every 1s, 50ms (text with --json: every batch; else a second)"
    add("--report-every", type=every, metavar="N|TIME", help=help_)
    add("--reports", metavar="FILE", help="the reports as JSON to a file")
    help_ = f"a forecast of every record as it comes, one JSON object a line, to a file, - or {', '.join(SINKS)}…"
    add("--predictions", metavar="FILE|-|ADDRESS", help=help_)
    add("--rejects", metavar="FILE", help="the records that cannot be used, and why, up to 10,000 of them")
    help_ = "where reports, predictions or rejects have so many bytes, 10M or 1G, they become FILE.1, FILE.2, … (never)"
    add("--rotate", type=size, metavar="SIZE", help=help_)
    help_ = "let the run be asked, and looked at with a browser, at HOST:PORT, as 127.0.0.1:8080 (not)"
    add("--serve", metavar="ADDRESS", help=help_)
    help_ = "the file of the token that asks for, beyond this machine (the variable RECURRIO_TOKEN)"
    add("--token", metavar="FILE", help=help_)
    add("-q", "--quiet", action="store_true", help="say nothing but warnings and errors")
    add("-v", "--verbose", action="store_true", help="name each rejected record on standard error")
    help_ = "write who computed what when, for Perfetto or chrome://tracing"
    add("--trace", metavar="FILE", help=help_)
    add("--timeline", metavar="FILE", help="draw that of the last batches, as an SVG picture")


def _add_predict(predict: argparse.ArgumentParser) -> None:
    add = predict.add_argument
    add("model", metavar="MODEL", help="a model.safetensors file, or the folder it is in")
    add("source", metavar="SOURCE", help="a file of records, or of rows of a task, or - for standard input")
    add("--rejects", metavar="FILE", help="the records that cannot be used, and why, up to 10,000 of them")
    _add_formats(predict.add_argument_group("how records are written"))


def _add_demo(demo: argparse.ArgumentParser) -> None:
    help_ = "of records that simulated devices send, or of a text, Python's own source code (%(default)s)"
    demo.add_argument(
        "what", nargs="?", metavar="records|text", choices=("records", "text"), default="records", help=help_
    )
    demo.add_argument("--seconds", type=number, default=20.0, metavar="S", help="of training, live (%(default)s)")
    demo.add_argument("--open", action="store_true", help="open its page in a browser")


def _add_generate(generate: argparse.ArgumentParser) -> None:
    add = generate.add_argument
    add("checkpoint", metavar="MODEL", help="a model.safetensors file, or the folder it is in")
    add("--prompt", default="", metavar="TEXT", help="what to write on from (a line break)")
    add("--length", type=whole(0), default=400, metavar="N", help="symbols to write (%(default)s)")
    add("--temperature", type=temperature, default=0.8, metavar="X", help="0 takes the likeliest (%(default)s)")
    add("--seed", type=whole(0), default=0, metavar="N", help="of the draws (%(default)s)")
