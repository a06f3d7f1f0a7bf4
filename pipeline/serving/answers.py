"""Forecasts on request: of records that did not come, and those that were made of the ones that did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import trio

from ...core.base.checks import ArgumentError
from ..lanes.forecast_lines import Line, lines_of, reject_line
from ..lanes.records import Records
from ..training.trainer import Trainer

__all__ = ["MOST", "WAIT", "predict"]

MOST = 1000  # records of one request
WAIT = 5.0  # seconds for records that are being learned from to be between two pieces


async def predict(trainer: Trainer, records: Records, items: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A line for each of `items`: what would be forecast of it if it came next, with the newest version.

    Raises ArgumentError, see `Records.suppose`, and TooSlowError where the records do not rest in time.
    """
    done, found = trio.Event(), list[Line]()
    problem: list[ArgumentError] = []

    def answer() -> None:
        if not waiting:
            return
        try:
            found.extend(_lines(trainer, records, items))
        except ArgumentError as error:
            problem.append(error)
        done.set()

    waiting = True
    try:
        records.ask(answer)
        with trio.fail_after(WAIT):
            await done.wait()
    finally:
        waiting = False
    if problem:
        raise problem[0]
    return found


def _lines(trainer: Trainer, records: Records, items: Sequence[Mapping[str, Any]]) -> list[Line]:
    forecast, block = records.suppose(items, *trainer.latest())
    lines = lines_of(forecast, records.encoder, every=True)
    for line in lines:
        line.record = None  # it has not come
    for reject in block.rejects:  # in the order of the records, which are counted from 1
        lines.insert(reject.line - 1, reject_line(reject.reason))
    return lines
