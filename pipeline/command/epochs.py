"""The epochs of a task from the command line: their batches, and the best of them, which is kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from ...core.base.parameters import Array
from ...core.base.safetensors import load_weights
from ...core.model.batch import SequenceBatch
from ..lanes.ragged import RaggedBatches
from ..sources import SourceError
from ..tasks import TaskKind
from ..tasks.table import Task
from ..training.epochs import BestEpoch

__all__ = ["BestModel", "EpochBatches"]


class EpochBatches:
    """The `batches` of rows that `digest` stands for; ``loss`` is the mean of those of an epoch that were applied.

    They are `recurrio.pipeline.stages.intake.Listening`.
    """

    def __init__(self, batches: RaggedBatches, digest: str) -> None:
        self._batches, self._digest = batches, digest
        self.largest, self.per_epoch = batches.largest, batches.per_epoch
        self._applied, self._losses, self._counted = 0, 0.0, 0  # of the epoch

    def __iter__(self) -> Iterator[SequenceBatch]:
        return iter(self._batches)

    def position(self) -> dict[str, Any]:
        """Where the next batch begins."""
        return {**self._batches.position(), "rows": self._digest}

    def rewind(self, position: Mapping[str, Any]) -> None:
        """Go on at `position`. Raises SourceError where it is one of other rows."""
        if position["rows"] != self._digest:
            raise SourceError("the rows to be trained on are not those that this run began with")
        self._batches.rewind(position)

    @property
    def loss(self) -> float:
        """The mean loss."""
        return self._losses / self._counted if self._counted else math.nan

    def applied(self, loss: float) -> None:
        """See `Listening`."""
        if self._applied == self.per_epoch:
            self._applied, self._losses, self._counted = 0, 0.0, 0
        self._applied += 1
        if math.isfinite(loss):  # else it was skipped
            self._losses, self._counted = self._losses + loss, self._counted + 1

    def told(self) -> dict[str, Any]:
        """See `Listening`."""
        return {"applied": self._applied, "losses": self._losses, "counted": self._counted}

    def recall(self, told: Mapping[str, Any]) -> None:
        """See `Listening`."""
        self._applied, self._losses, self._counted = told["applied"], told["losses"], told["counted"]


class BestModel:
    """What is saved of a task of this `kind`: `model` with the parameters of the ``best`` epoch, if there has been one.

    It is `recurrio.pipeline.command.outcome.Saved`.
    """

    def __init__(self, kind: TaskKind, task: Task, model: Any) -> None:  # noqa: ANN401 (that of the task)
        self._kind, self._task, self._model = kind, task, model
        self.best: BestEpoch | None = None
        self._whole, self._lock = False, Lock()

    def take(self, best: BestEpoch, *, whole: bool) -> None:
        """This is the best one so far; `whole` says that it is no part of one, which was cut short."""
        self.best, self._whole = best, whole

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write it to `path`; `parameters` are those that have been reached meanwhile. Raises OSError."""
        with self._lock:  # a checkpoint that is written in a thread must not put an older one over a newer one
            about, best = dict(training or {}), self.best
            if best is not None and self._whole:
                about |= {"epoch": best.epoch, "score": best.score, "scores": [*best.scores]}
            self._task.trained(self._model).save(path, about, parameters if best is None else best.parameters)

    def find(self, path: str | os.PathLike[str]) -> None:
        """The best epoch is that in the file at `path`, if there is one: of a run that is gone on with.

        Raises OSError, WeightsError.
        """
        training = json.loads(load_weights(path)[1].get("training", "{}"))
        if "epoch" in training:
            parameters = self._kind.load(path).model.parameters
            scores = tuple(training["scores"])
            self.take(BestEpoch(training["epoch"], training["score"], parameters, scores), whole=True)

    def metrics(self, score: float) -> dict[str, float]:
        """Of how many rows the score is, by its name, and the naive one beside it."""
        measure, task = self._kind.measure, self._task
        return {"count": task.dev_rows, measure: score, f"naive_{measure}": task.naive}

    def words(self, score: float) -> str:
        """The same in words."""
        kind, task = self._kind, self._task
        return f"{kind.measure} {score:.3f} on {task.dev_rows:,} rows ({kind.naive} {task.naive:.3f})"
