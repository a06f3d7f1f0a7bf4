"""The records of a run once more, by the serial loop and by the pipeline: how long each takes, and to what bits."""

from __future__ import annotations

import hashlib
from time import perf_counter
from typing import NamedTuple

from ...core.base.state import Part
from ...core.model.sequence_model import SequenceModel
from ..checkpoint import Checkpoints, Found
from ..observe.timeline import Timeline
from .folder import states_path
from .rerun import Again, opened, rerun, settings_of

__all__ = ["Came", "by_the_pipeline", "by_the_serial_loop", "digest"]


class Came(NamedTuple):
    """What came of it: the `digest` of the state at its end, and how many seconds it took behind its first batch."""

    digest: str
    seconds: float


def digest(part: Part) -> str:
    """SHA-256 of all arrays of a training: weights, averages of the optimizer, hidden states."""
    digest = hashlib.sha256()
    for name in sorted(part.arrays):
        digest.update(name.encode() + part.arrays[name].tobytes())
    return digest.hexdigest()


async def by_the_serial_loop(folder: str, found: Found, last: int) -> Came:
    """Train on from the checkpoint `found` of the run in `folder` up to the step `last`, one thing after the other.

    Raises CheckpointError, SourceError.
    """
    times, ends = list[float](), list[Part]()

    def tell(again: Again) -> None:
        times.append(perf_counter())
        if again.step.step == last:
            ends.append(again.state.dump())

    await rerun(folder, found, last, tell)
    return Came(digest(ends[0]), times[-1] - times[0])


async def by_the_pipeline(folder: str, found: Found, last: int, timeline: Timeline) -> Came:
    """Train on like that in stages, whose computations `timeline` records.

    Raises CheckpointError, SourceError, and what a run of a trainer raises.
    """
    settings = settings_of(found)
    async with opened(folder, settings, found) as source:
        trainer = settings.make_trainer(SequenceModel.from_config(found.part.about["model"]))
        trainer.resume(Checkpoints(states_path(folder)), source, found)
        await trainer.run(source, steps=last - found.step, timeline=timeline)
    ends = [span.end for span in timeline.spans if span.task == "update"]
    return Came(digest(trainer.state.dump()), ends[-1] - ends[0])
