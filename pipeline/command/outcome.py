"""How a training run of the command ended, and the model that is left."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ...core.base.parameters import Array
from ...core.model.sequence_model import SequenceModel
from ..training.trainer import Trainer
from .settings import Settings

if TYPE_CHECKING:
    from ..lanes.records import Records

__all__ = ["Outcome", "Saved"]

SHOWN = 50  # losses that a mean is taken of


class Saved(Protocol):
    """A model with what gives its inputs a meaning."""

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """Write it to `path`."""
        ...


@dataclass
class Outcome:
    """How a run ended: by itself, by a signal, or by an ``error``.

    ``first`` is the loss of the first batch, and ``losses`` are those of the last 50 reports; ``leftover`` is how much
    of a text made no whole batch, and ``unknown`` how many symbols of the batches were none of the vocabulary;
    ``symbols`` are the scores of a text, see `recurrio.core.text.symbol_scores`.
    The ``model`` is that of a text, or of a task, of which ``epochs`` says in words what they have come to; ``records``
    are those that were trained on, if any.
    """

    first: float | None = None
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=SHOWN))
    model: Saved | None = None
    trainer: Trainer | None = None
    error: Exception | None = None
    leftover: int = 0
    unknown: int = 0
    symbols: Mapping[str, Any] = field(default_factory=dict)
    epochs: str = ""
    records: Records | None = None

    @property
    def steps(self) -> int:
        """How many batches were applied."""
        return 0 if self.trainer is None else self.trainer.step

    def note(self, loss: float) -> None:
        """Take in the loss of the next report."""
        if self.first is None:
            self.first = loss
        self.losses.append(loss)

    def last(self) -> float:
        """The mean loss of the last 50 reports, or of the second half of them where they are few."""
        count = max(1, min(SHOWN, len(self.losses) // 2))
        return sum(list(self.losses)[-count:]) / count

    def save(self, settings: Settings, path: str | os.PathLike[str]) -> bool:
        """Write the model, if a batch was applied, to `path`; whether one was. Raises OSError."""
        if self.trainer is None or self.steps == 0:
            return False
        model = self.model
        if self.records is not None:
            assert isinstance(self.trainer.model, SequenceModel)
            model = self.records.trained(self.trainer.model)
        assert model is not None
        model.save(path, self.about(settings))
        return True

    def about(self, settings: Settings) -> dict[str, object]:
        """What the file of the model says of the run."""
        assert self.trainer is not None
        more = {"step": self.steps, "ranks": self.trainer.ranks, "blas_threads": self.trainer.blas_threads}
        return settings.about | more
