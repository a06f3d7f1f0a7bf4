"""Checking that no forecast knows what comes after it, from the command line."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from typing import Any

import trio

from ..executors import AUTO
from ..lanes.records import Records
from ..sources import path_of, shown
from ..training import leaks
from ..training.leaks import Checked, Leak
from .initial import begin_with
from .options import make_settings
from .settings import Settings

__all__ = ["check_leaks"]


def check_leaks(arguments: argparse.Namespace) -> int:
    """Say of each place whether a forecast up to it knows what comes after; the exit code: 1 where one does.

    Raises SourceError, OSError, WeightsError, and ValueError where that cannot be checked.
    """
    settings = make_settings(arguments)
    if settings.records is None:
        raise ValueError("check-leaks: expected records: --features, and --target or --label, say what these are")
    for name in (*settings.sources, *settings.labels):
        if path_of(name) != name or (os.path.exists(name) and not os.path.isfile(name)):
            raise ValueError(f"{shown(name)}: expected a file, which ends and can be read again")
    if settings.executor == AUTO:  # which would try the others anew for each place; it changes no number
        settings = replace(settings, executor="inline")
    checked = trio.run(_check, settings, arguments.init, arguments.places)
    if arguments.json:
        print(json.dumps({**checked._asdict(), "leaks": [leak._asdict() for leak in checked.leaks]}))
    else:
        for line in _said(checked):
            print(line)
    return 1 if checked.leaks else 0


async def _check(settings: Settings, init: str | None, places: int) -> Checked:
    async def train(records: Records) -> None:
        model = settings.make_model(records)
        if init is not None:
            begin_with(init, model, records.encoder)
        await settings.make_trainer(model).run(records, steps=settings.steps)

    async with settings.open_records() as records:
        return await leaks.check_leaks(records, train, places=places, seed=settings.seed)


def _said(checked: Checked) -> list[str]:
    lines = [
        f"all after record {leak.place:,} changed, and so did the forecast of {leak.record:,}: {_differing(leak)}"
        for leak in checked.leaks
    ]
    of = f"{len(checked.places):,} places of {checked.records:,} records"
    if lines:
        return [*lines, f"{len(lines):,} of {of}: a forecast up to them knew what came after"]
    return [f"{of}: no forecast up to them knew what came after"]


def _differing(leak: Leak) -> str:
    """What of its lines differs, and both values."""
    before, after = leak.before or {}, leak.after or {}

    def value(line: dict[str, Any], name: str) -> str:
        return json.dumps(line.get(name), ensure_ascii=False)

    return ", ".join(
        f"{name}: {value(before, name)}, then {value(after, name)}"
        for name in {**before, **after}
        if value(before, name) != value(after, name)
    )
