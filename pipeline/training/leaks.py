"""Whether a forecast knows what comes after it: nothing may change in it when that changes.

The records are trained on as they are. Then, for each of some places, once more from the start, with all that comes
after the record at this place changed: the forecasts up to this record have to be the same, bit by bit.

**Why changed, and not cut off.** Where the records just end after the place, there is nothing that could be known, and
one that looks ahead may find itself at the end and do without: it does another thing than in the run that is in
question. What was changed is read in its place, and in the same way.

**Why bit by bit.** A leak is often small: by one scale among many, or by weights after one more step. Training is
exact, so that the least difference has a cause, and there is nothing to be tolerated.

**How far it goes on.** See `reach`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.online.encoder import Encoder
from ...core.online.updates import BLOCK
from ..decoding.block import Block
from ..decoding.columns import part_of
from ..lanes.forecast import Forecast
from ..lanes.forecast_lines import ENCODER, lines_of
from ..lanes.record_plan import RecordPlan
from ..lanes.records import Records
from .changed import changed_after

__all__ = ["Checked", "Leak", "check_leaks", "reach"]

FEWEST = 32  # records that can be checked
ENDS = 4  # of few records, a fourth at each end has no place


class Leak(NamedTuple):
    """With all changed that comes after the record `place`, the forecast of the `record` is another: the first one.

    ``before`` and ``after`` are its lines among the predictions, None where it has none.
    """

    place: int
    record: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Checked(NamedTuple):
    """How many ``records`` were forecast, after which of them (``places``) all was changed, and the leaks found."""

    records: int
    places: list[int]
    leaks: list[Leak]


class _Lines:
    """The lines of forecasts as bytes, by the number of the record."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.known: dict[int, bytes] = {}
        self.count = 0

    def __call__(self, forecast: Forecast) -> None:
        """Keep those of `forecast`."""
        for line in lines_of(forecast, self._encoder):
            assert line.record is not None
            self.known[line.record] = ENCODER.encode(line)
        self.count = max(self.count, forecast.number + len(forecast.values))


async def check_leaks(
    records: Records, train: Callable[[Records], Awaitable[object]], *, places: int = 20, seed: int = 0
) -> Checked:
    """Check up to so many `places`, drawn by `seed`, as the changes are.

    `records` are read to their end, and kept in memory; they have not been trained on. `train` trains a new model on
    records that it is given, always in the same way. What the clock would decide (`linger`, `key_ttl`, `label_wait`) is
    not decided, as it is not the same twice. Raises ArgumentError where there are too few records, SourceError.
    """
    check_count("places", places)
    block, plan = await records.receive_all(), records.plan

    async def forecasts(of: Block) -> _Lines:
        again = records.again(of)
        again.on_forecasts = lines = _Lines(again.encoder)
        await train(again)
        return lines

    expected = await forecasts(block)
    if expected.count < FEWEST:
        raise ArgumentError("records", f"{FEWEST} at least, to look for leaks among them", expected.count)
    at = np.arange(block.size) if block.answer is None else np.flatnonzero(~block.answer)  # of each record in the block
    further, leaks = reach(plan, block), list[Leak]()
    drawn = _draw(expected.count, places, further, seed)
    for place in drawn:
        random = np.random.default_rng((seed, place))
        part = part_of(block, 0, min(block.size, int(at[place]) + 1 + further))
        found = await forecasts(changed_after(part, int(at[place]), plan.schema, random))
        if (leak := _first(place, expected.known, found.known)) is not None:
            leaks.append(leak)
    return Checked(expected.count, drawn, leaks)


def reach(plan: RecordPlan, block: Block) -> int:
    """How many records after a place are there, and changed: enough for each way to look ahead to find what it seeks.

    - A scale or the weight of the calendar, if it knew its own block: the rest of at most 256 records.
    - A target, if it were known early: `horizon` records of the key ahead.
    - Weights, if they had learned from the record: its chunk is closed up to T records of the key after it, and the
      horizon; its batch is made when as many chunks wait as there are keys, or B, which takes T records of each. The
      windows of the past that are learned from again come out of such batches.

    Records of a key are taken to be as many keys apart as there are. Where labels come later, in records of their own,
    nobody knows how much later: it is all that follows.
    """
    if block.ids is not None:
        return block.size
    keys = 1 if block.keys is None else len({*block.keys})
    return BLOCK + keys * (plan.schema.horizon + plan.steps) + min(keys, plan.batch_size) * plan.steps


def _draw(count: int, places: int, further: int, seed: int) -> list[int]:
    """Up to so many `places` among `count` records, in their order; so far from both ends that there is much to find.

    At the start there is nothing yet that would depend on weights, and at the end nothing that could be known.
    """
    margin = min(further, count // ENDS)
    most = count - 2 * margin
    chosen = np.random.default_rng(seed).choice(most, min(places, most), replace=False)
    return sorted((margin + chosen).tolist())


def _first(place: int, expected: dict[int, bytes], found: dict[int, bytes]) -> Leak | None:
    """The first record up to `place` whose lines differ."""
    for record in range(place + 1):
        before, after = expected.get(record), found.get(record)
        if before != after:
            lines = [None if line is None else msgspec.json.decode(line) for line in (before, after)]
            return Leak(place, record, *lines)
    return None
