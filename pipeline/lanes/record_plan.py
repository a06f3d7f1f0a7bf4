"""What is to be made of records: which fields are used, how they are divided, and how long anything waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...core.base.checks import ArgumentError, check_count, check_number
from ...core.losses import CrossEntropyLoss, HuberLoss, IntervalLoss, Loss
from ...core.online.bounds import Bounds
from ...core.online.drift import DETECTORS
from ...core.online.schema import MOST_AHEAD, Schema
from ...core.optim.actions import REPLAY_RECENT, check_actions
from ..decoding.fields import Fields
from .labels import IGNORED, NAIVE

__all__ = ["RecordPlan"]

STEPS, REPLAYED = 8, 32  # of a chunk
COUNTS = {"batch_size": 1, "max_keys": 1, "max_waiting": 1, "patience": 1, "replay": 0, "seed": 0}


@dataclass(frozen=True, kw_only=True)
class RecordPlan:
    """What `Records` are told.

    `features`, `target`, `label`, `key` and `time` name the fields, see `recurrio.core.online.Schema.of`. Chunks of
    `seq_len` steps T, one every `stride` records of a key, of up to `batch_size` B different keys make a batch; a
    `stride` that is not given grows with the keys and the records: see `recurrio.pipeline.lanes.stride`. Of up to
    `max_keys` keys there is a hidden state, then the least recently used go. Numbers are scaled by what came before
    them, over all keys, or with `per_key` over those of each. With `forecasts`, one is made of each record as it comes,
    and scored when the truth does.

    With `replay`, so many windows of T steps that were learned from before are learned from again with each batch: see
    `recurrio.pipeline.lanes.replay_buffer`. `seed` is that of the draw. T is 8 where it is not given, and 32 then.

    With a `season`, so many records, or as a float seconds, there are naive forecasts by what was then: see
    `recurrio.pipeline.lanes.season`.

    With `drift`, one of `recurrio.core.online.drift.DETECTORS`, the errors of forecasts are watched; where they have
    become larger, what `on_drift` names of `recurrio.core.optim.actions` is done with the next batch.

    With an `interval`, a share as 0.9, there are bounds of each forecast too, within which so many truths are to be,
    and with `alarm`, as 0.999, it is said which are further outside than so many: see `recurrio.core.online.bounds`.

    With an `id`, a label or targets of the same record may come later, in records of their own that have the same id:
    see `recurrio.pipeline.lanes.labels_later`. Up to `max_waiting` records wait for them, then the oldest is trained on
    without.

    `linger`, `key_ttl` and `label_wait` are in seconds: after so long the chunks that wait are closed short, the keys
    without a record go, and records no longer wait for their labels, nor labels for their records. `max_gap` seconds
    between two records of a key are too many for one to be the label of the other. `patience` is after how many records
    a chunk that does not fill is closed short.

    Raises ArgumentError where something of that cannot be.
    """

    features: str | Iterable[str]
    target: str | Iterable[str] = ()
    label: str | None = None
    key: str | None = None
    time: str | None = None
    id: str | None = None
    seq_len: int | None = None
    batch_size: int = 64
    stride: int | None = None
    replay: int = 0
    seed: int = 0
    season: float | None = None
    drift: str | None = None
    on_drift: str | Iterable[str] = ()
    interval: float | None = None
    alarm: float | None = None
    max_keys: int = 1 << 17
    max_classes: int = 64
    max_categories: int = 32
    per_key: bool = False
    forecasts: bool = True
    linger: float | None = None
    key_ttl: float | None = None
    label_wait: float | None = None
    max_waiting: int = 1 << 17
    max_gap: float | None = None
    patience: int = 1 << 17
    schema: Schema = field(init=False)
    actions: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        bounds = {"max_categories": self.max_categories, "max_classes": self.max_classes}
        schema = Schema.of(self.features, self.target, self.label, self.key, self.time, **bounds)
        checked: dict[str, Any] = {"schema": schema, "actions": check_actions(self.on_drift)}
        for name, least in COUNTS.items():
            checked[name] = check_count(name, getattr(self, name), least)
        if self.seq_len is not None:
            checked["seq_len"] = check_count("seq_len", self.seq_len)
        if self.stride is not None:
            checked["stride"] = check_count("stride", self.stride, 1, self.steps)
        if self.max_gap is not None:
            checked["max_gap"] = check_number("max_gap", self.max_gap, 0, open_low=True)
            if self.time is None:
                raise ArgumentError("max_gap", "the time of records beside it", "none")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        self._check_interval()
        if self.drift is not None and self.drift not in DETECTORS:
            raise ArgumentError("drift", f"one of {', '.join(DETECTORS)}", repr(self.drift))
        if self.drift is not None and not self.forecasts:
            raise ArgumentError("drift", "none where there are no forecasts", repr(self.drift))
        if self.actions and self.drift is None:
            raise ArgumentError("on_drift", "a detector of drift beside it", "none")
        if REPLAY_RECENT in self.actions and not self.replay:
            raise ArgumentError("on_drift", f"replay beside {REPLAY_RECENT}", "none")
        if self.season is not None:
            object.__setattr__(self, "season", self._checked_season(self.season))
        if self.id is not None:
            self._check_id(self.id)
        elif self.label_wait is not None:
            raise ArgumentError("label_wait", "the id of records beside it", "none")

    def _checked_season(self, season: float) -> float:
        for case, wrong in {"a class is told": self.is_class, "labels come by an id": self.id is not None}.items():
            if wrong:
                raise ArgumentError("season", f"none where {case}", season)
        if not isinstance(season, float):
            return check_count("season", season, 1, MOST_AHEAD)
        if self.time is None:
            raise ArgumentError("season", "a number of records, or one in time and the time beside it", season)
        return check_number("season", season, 0, open_low=True)

    def _check_interval(self) -> None:
        if self.alarm is not None and self.interval is None:
            raise ArgumentError("alarm", "an interval beside it", "none")
        if self.interval is not None:
            if self.is_class:
                raise ArgumentError("interval", "none where a class is told", self.interval)
            if not self.forecasts:
                raise ArgumentError("interval", "none where there are no forecasts", self.interval)
            Bounds(self.interval, 1, alarm=self.alarm)  # or an error

    def _check_id(self, id: str) -> None:
        if self.max_gap is not None:
            raise ArgumentError("max_gap", "none where labels come by an id", self.max_gap)
        if id in Fields.of(self.schema).all:
            raise ArgumentError("id", "a field that is nothing else", id)
        if self.schema.horizon:
            expected = "one of the same record, where labels come by an id (those ahead come with their key's records)"
            raise ArgumentError("target", expected, str(self.schema.targets[0]))

    @property
    def steps(self) -> int:
        """T, the time steps of a chunk."""
        return self.seq_len or (REPLAYED if self.replay else STEPS)

    @property
    def keys(self) -> int:
        """Of how many keys there are states."""
        return self.max_keys if self.key is not None else 1

    @property
    def waiting(self) -> int | None:
        """How many records wait for labels; None where these come with their records, or with later ones."""
        return self.max_waiting if self.id is not None else None

    @property
    def waits(self) -> dict[str, float | None]:
        """What the clock decides, in seconds; None: nothing of that."""
        return {"linger": self.linger, "key_ttl": self.key_ttl, "label_wait": self.label_wait}

    @property
    def is_class(self) -> bool:
        """Whether what is to be said is a class."""
        return self.schema.label is not None

    @property
    def naive(self) -> tuple[str, ...]:
        """The ways of naive forecasts."""
        return NAIVE[:1] if self.season is None else NAIVE

    @property
    def loss(self) -> Loss:
        """What a model is to be trained with."""
        if self.is_class:
            return CrossEntropyLoss(ignore_index=IGNORED)
        if self.interval is None:
            return HuberLoss(ignore_nan=True)
        return IntervalLoss(interval=self.interval, ignore_nan=True)

    def check_loss(self, loss: Loss) -> None:
        """Raise ArgumentError where targets that are not known would count in `loss`."""
        if self.is_class:
            leaves_out = isinstance(loss, CrossEntropyLoss) and loss.ignore_index == IGNORED
        else:
            leaves_out = bool(getattr(loss, "ignore_nan", False))
        if (loss.interval if isinstance(loss, IntervalLoss) else None) != self.interval:
            raise ArgumentError("loss", f"one for the interval {self.interval}, as {self.loss}", loss)
        if not leaves_out:
            raise ArgumentError("loss", f"one that leaves out what is not known, as {self.loss}", loss)
