"""The options of train that say what rows of a file are trained for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...core.text.vocabularies import VOCABULARIES
from ..decoding.options import RecordOptions
from ..decoding.table import Column
from ..tasks import TASKS
from .settings import RecordSettings, TaskSettings

__all__ = ["add_task_options", "check_no_task", "task_settings"]

READ = ("label", "format")  # options of records that a task can have too
OTHERS = ("vocabulary", "encoding", "seq_len", "steps", "init", "report_every", "predictions", "challenger")


def _columns() -> dict[str, str]:
    """The options that name columns, of all tasks, and what these are."""
    return {name: what for kind in TASKS.values() for name, what in kind.columns.items()}


def add_task_options(tasks: argparse._ArgumentGroup) -> None:
    """What is learned of rows; where a column is named as an option of records is, it is that one."""
    add = tasks.add_argument
    about = "; ".join(f"{name}: {kind.about}" for name, kind in TASKS.items())
    add("--task", choices=list(TASKS), help=f"what is learned of the rows of a TSV or CSV file; {about}")
    for name, what in _columns().items():
        if name not in READ:
            help_ = f"the column {what}, or its number, from 1, where there is no header ({name})"
            add(f"--{name}", metavar="COLUMN", help=help_)
    kinds = ", ".join(VOCABULARIES)
    help_ = (
        f"what texts are made of: {kinds} (words, if more than half of them have a space between two words; else chars)"
    )
    add("--symbols", choices=list(VOCABULARIES), metavar="KIND", help=help_)
    help_ = "rows by which the best epoch is chosen (every tenth row, which is not trained on)"
    add("--dev", metavar="FILE", help=help_)


def check_no_task(options: Mapping[str, Any]) -> None:
    """Raise ValueError where one of `options` is given that is for tasks alone."""
    for name in (*_columns(), "symbols", "dev"):
        if name in options and name not in READ:
            raise ValueError(f"--{name}: is for rows of a file, and --task says what for")


def task_settings(options: Mapping[str, Any]) -> TaskSettings:
    """What the `options` that are given say of a task. Raises ValueError where they are none of it."""
    name = options["task"]
    kind = TASKS[name]
    others = [one.name for part in (RecordSettings, RecordOptions) for one in fields(part) if one.name != "format"]
    for other in (*others, *OTHERS, *_columns()):
        if other in options and other not in kind.columns:
            raise ValueError(f"--{other.replace('_', '-')}: is not for --task {name}")
    if len(options["sources"]) > 1:
        raise ValueError(f"SOURCE: expected one, of a task, got {len(options['sources'])}")
    columns = {column: _column(options.get(column, column)) for column in kind.columns}
    if len({type(column) for column in columns.values()}) > 1:
        said = ", ".join(f"--{option} {column}" for option, column in columns.items())
        raise ValueError(f"{said}: expected all by name, or all by number")
    if len({*columns.values()}) < len(columns):
        said = " and ".join(f"--{option}" for option in columns)
        raise ValueError(f"{said}: expected different columns, got {next(iter(columns.values()))} twice")
    return TaskSettings(name, columns, options.get("symbols"), options.get("dev"), options.get("format"))


def _column(text: str) -> Column:
    """A whole number is that of a column in a table without a header."""
    return int(text) if text.isascii() and text.isdigit() and int(text) else text
