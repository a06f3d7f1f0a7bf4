"""Epoch after epoch, of which the best is kept: by a score of what was not trained on."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import trio

from ...core.base.checks import ArgumentError
from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ..checkpoint import Checkpoints
from ..observe.reports import Report
from ..observe.timeline import Timeline
from .trainer import Trainer

__all__ = ["BestEpoch", "Epochs", "train_epochs"]


class Epochs(Protocol):
    """Batches of which each epoch has ``per_epoch``, as `recurrio.pipeline.RaggedBatches` are."""

    per_epoch: int

    def __iter__(self) -> Iterator[SequenceBatch]: ...

    def position(self) -> Mapping[str, Any]:
        """Where the next one begins: the number of its ``epoch``, and of the ``batch`` in that."""
        ...


@dataclass(frozen=True)
class BestEpoch:
    """The first of the best epochs, by its number, from 1: its ``score``, and the ``parameters`` after it.

    ``scores`` are those of all epochs so far.
    """

    epoch: int
    score: float
    parameters: Array
    scores: tuple[float, ...]


async def train_epochs(
    trainer: Trainer,
    batches: Epochs,
    score: Callable[[Any], float],
    *,
    before: BestEpoch | None = None,
    on_epoch: Callable[[Report, BestEpoch], None] | None = None,
    checkpoints: Checkpoints | None = None,
    timeline: Timeline | None = None,
) -> BestEpoch:
    """Train on all epochs of `batches`, and let the model of `trainer` have the parameters after the best one.

    After each epoch `score` is asked of a copy of that model, in a worker thread, and training waits: the higher the
    better, and NaN is worse than any. Then `on_epoch` is called with the report of the epoch's last batch, and the best
    one so far. Where a run is stopped in an epoch, what there was of it counts only if there is no other.

    A run that goes on from one of the `checkpoints`, see `Trainer.resume`, needs what `on_epoch` was given last, as
    `before`. Epochs that come again are scored again, and have the same score. `timeline` records who computed what.

    Raises ArgumentError where no epoch has been before, and none comes; and where the trainer has begun with others.
    """
    model, best = trainer.model, before
    others = (trainer.step - batches.position()["batch"]) % batches.per_epoch
    if others:
        raise ArgumentError("trainer", f"whole epochs of {batches.per_epoch} batches before", f"{others} more")

    def scored(parameters: Array) -> float:
        asked: Any = copy.copy(model)
        asked.parameters = parameters
        return float(score(asked))

    async def epoch(report: Report) -> None:
        nonlocal best
        whole, part = divmod(report.step, batches.per_epoch)
        if part and best is not None:
            return
        parameters = model.parameters.copy()
        value = await trio.to_thread.run_sync(scored, parameters)
        best = _with(best, BestEpoch(whole + bool(part), value, parameters, ()))
        if on_epoch is not None:
            on_epoch(report, best)

    more: dict[str, Any] = {"checkpoints": checkpoints, "timeline": timeline}
    await trainer.run(batches, on_report=epoch, report_every=batches.per_epoch, **more)
    if best is None:
        raise ArgumentError("batches", "at least one epoch", "none")
    np.copyto(model.parameters, best.parameters)
    return best


def _with(best: BestEpoch | None, last: BestEpoch) -> BestEpoch:
    """The better one of the `best` epoch so far and the `last`, with the scores of both."""
    scores = (*(() if best is None else best.scores[: last.epoch - 1]), last.score)
    if best is None or last.score > best.score or math.isnan(best.score):
        best = last
    return replace(best, scores=scores)
