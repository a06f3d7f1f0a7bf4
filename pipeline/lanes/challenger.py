"""A challenger: another model that learns beside the champion, from the same batches, to the bits of its lone run."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...core import serial
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.model.ranks import default_ranks
from ...core.model.sequence_model import SequenceModel
from ...core.online.encoder import Encoder
from ...core.online.learned import Learned
from ...core.online.record_model import RecordModel
from ...core.optim.actions import check_actions
from ...core.optim.guard import Guard
from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import Adam
from ...core.optim.updater import NonFiniteError, Updater, planned_version
from ...core.training_state import TrainingState
from .forecasts import ForecastMaker
from .live import Arrivals

__all__ = ["Challenge", "Challenger", "Promoted", "Sizes"]


MakesForecasts = Callable[..., ForecastMaker]


@dataclass(frozen=True)
class Challenge:
    """What a challenger is: its `name`, the options of its `model`, see `Records.model`, and how it is trained.

    `optimizer` and `guard` make new ones; the others are those of `recurrio.pipeline.Trainer`. Its batches are the
    champion's: whatever of the records, it shares.
    """

    name: str
    model: Mapping[str, Any] = field(default_factory=dict)
    optimizer: Callable[[], Optimizer] = lambda: Adam(0.002)
    clip: float | None = 1.0
    guard: Callable[[], Guard | None] = Guard
    delay: int = 0
    ranks: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Sizes:
    """The shards M of batches, the largest one (steps T, lanes B), and the rows of the table of keys (all, spare)."""

    shards: int
    largest: tuple[int, int]
    keys: tuple[int, int]


class Challenger:
    """Trains `model` as `challenge` says, by the serial loop, and lets a ``maker`` forecast with its weights.

    `make` makes that, of the model and of what is to be told of a drift; then `actions` are done with the next batch.
    ``failed`` says why it has ended, where it has; it makes no forecasts any more then.
    """

    def __init__(
        self, challenge: Challenge, model: SequenceModel, sizes: Sizes, actions: tuple[str, ...], make: MakesForecasts
    ) -> None:
        self.name, self.model, self._sizes, self._on_drift = challenge.name, model, sizes, actions
        self.maker = make(model, on_drift=self._drifted)
        updater = Updater(challenge.optimizer(), challenge.clip, guard=challenge.guard())
        ranks = default_ranks(model, sizes.shards, challenge.delay) if challenge.ranks is None else challenge.ranks
        cut = {"shards": sizes.shards, "ranks": ranks, "delay": challenge.delay, "seed": challenge.seed}
        self.state = TrainingState(model, updater, **cut)
        self._batches: deque[SequenceBatch] = deque()
        self._steps: Iterator[serial.Step] | None = None
        self.actions: tuple[str, ...] = ()  # that are to be done with the next batch
        self.failed = ""

    def _drifted(self, record: int) -> None:
        self.actions = self._on_drift

    @property
    def latest(self) -> tuple[int, Array]:
        """The newest version, and its parameters."""
        return self.state.applied, self.state.version(self.state.applied)

    def forecast(self, arrivals: Arrivals) -> None:
        """Forecast these records, with the version that a run of its own would use."""
        version = planned_version(self.state.applied, self.state.delay)
        self.maker.forecast(arrivals, version, self.state.version(version))

    def learn(self, batch: SequenceBatch) -> None:
        """Train on the champion's next batch."""
        if self.failed:
            return
        if self._steps is None:
            keys, spare = self._sizes.keys
            given = iter(self._batches.popleft, None)
            self._steps = serial.run(self.state, given, largest=self._sizes.largest, keys=keys, spare=spare)
        self._batches.append(batch._replace(actions=self.actions))
        self.actions = ()
        try:
            next(self._steps)
        except NonFiniteError as error:
            self.failed = str(error)

    def dump(self, rows: int, slots: list[int]) -> Part:
        """All of it, with what the maker has of the first `rows` of the table, and of these `slots`."""
        about = {"name": self.name, "failed": self.failed, "actions": [*self.actions]}
        return Part.of(about, state=self.state.dump(), forecasts=self.maker.dump(rows, slots))

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        self.state.load(part.part("state"))
        self.maker.load(part.part("forecasts"), rows)
        self.failed, self.actions = str(part.about["failed"]), check_actions(part.about["actions"])


class Promoted(RecordModel):
    """The model of a challenger that leads, with its weights as they are now."""

    def __init__(self, challenger: Challenger, encoder: Encoder, learned: Learned | None) -> None:
        super().__init__(challenger.model, encoder, learned)
        self._now = challenger.model.parameters.copy()

    def save(
        self,
        path: str | os.PathLike[str],
        training: dict[str, object] | None = None,
        parameters: Array | None = None,
    ) -> None:
        """See `RecordModel.save`; `parameters` are the champion's, and not used."""
        super().save(path, training, self._now)
