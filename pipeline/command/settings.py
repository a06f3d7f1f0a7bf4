"""What the command line says of a training run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ...core.base.safetensors import WeightsError, load_weights
from ...core.model.sequence_model import SequenceModel
from ...core.model.trainable import Trainable
from ...core.optim.guard import Guard
from ...core.optim.optimizer import Optimizer
from ..decoding.options import RecordOptions
from ..sources import shown
from ..tasks import TASKS, TaskKind
from ..training.trainer import Trainer
from .challengers import challenger_options
from .optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from ..lanes.challenger import Challenge
    from ..lanes.records import Records

__all__ = ["RECORDS", "REPLAYED", "TEXT", "TEXT_ALONE", "RecordSettings", "Settings", "TaskSettings"]

# What is not given, by what is trained on.
TEXT: dict[str, Any] = {"hidden": 128, "batch_size": 32, "seq_len": 64}
RECORDS: dict[str, Any] = {"hidden": 32, "batch_size": 64, "seq_len": 8}
REPLAYED: dict[str, Any] = {**RECORDS, "seq_len": 32}  # of records that are learned from again
TEXT_ALONE = ("vocabulary", "encoding", "embedding", "epochs")  # options that mean nothing for records


@dataclass(frozen=True)
class RecordSettings:
    """How records are read; the names are those of the options, and so are the defaults."""

    features: str
    target: str | None = None
    label: str | None = None
    key: str | None = None
    time: str | None = None
    format: str | None = None
    per_key: bool = False
    max_gap: float | None = None
    linger: float | None = None
    id: str | None = None
    label_from: str | None = None
    label_wait: float | None = None
    max_waiting: int = 1 << 17
    key_ttl: float | None = None
    max_keys: int = 1 << 17
    stride: int | None = None
    replay: int = 0
    season: float | None = None
    drift: str | None = None
    on_drift: str = ""
    interval: float | None = None
    alarm: float | None = None
    max_classes: int = 64
    max_categories: int = 32
    when_behind: str = "block"
    allow_remote: bool = False
    allow_gap: bool = False
    send: str | None = None
    options: RecordOptions = field(default_factory=RecordOptions)


@dataclass(frozen=True)
class TaskSettings:
    """What rows of a file are trained for, by its name in `recurrio.pipeline.tasks.TASKS`.

    `columns` are those that the task asks for, by name or by number; `symbols` None is what suits the texts. Where
    there is no `dev`, every tenth row is scored by, and not trained on.
    """

    task: str
    columns: Mapping[str, str | int]
    symbols: str | None = None
    dev: str | None = None
    format: str | None = None

    @property
    def kind(self) -> TaskKind:
        """What the command asks of it."""
        return TASKS[self.task]


@dataclass(frozen=True)
class Settings:
    """What the command line says of a run; the names are those of the options, and so are the defaults.

    `records` says how they are read where that is what is trained on, and `task` what rows are trained for; else it is
    a text.
    """

    sources: tuple[str, ...]
    cell: str = "lstm"
    hidden: int = TEXT["hidden"]
    layers: int = 1
    embedding: int = 64
    batch_size: int = TEXT["batch_size"]
    seq_len: int = TEXT["seq_len"]
    vocabulary: str = "chars"
    encoding: str | None = None
    steps: int | None = None
    epochs: int | None = None
    optimizer: str = "adam"
    lr: float | None = None
    clip: float | None = 1.0
    delay: int = 0
    shards: int = 1
    executor: str = "auto"
    watchdog: float | None = 300.0
    on_bad_batch: str = "skip"
    seed: int = 0
    records: RecordSettings | None = None
    task: TaskSettings | None = None
    challengers: tuple[str, ...] = ()

    def repeats(self, model: str | os.PathLike[str]) -> bool:
        """Whether the file `model` is of a run over these very records, with these settings: the same comes out again.

        Of a text it is not asked; and what comes through a pipe is never the same.
        """
        if self.records is None or not all(map(os.path.isfile, (*self.sources, *self.labels, model))):
            return False
        try:
            training = json.loads(load_weights(model)[1].get("training", "{}"))
        except (WeightsError, ValueError):
            return False
        return isinstance(training, dict) and training | json.loads(json.dumps(self.about)) == training

    @classmethod
    def of(cls, about: Mapping[str, Any]) -> Settings:
        """Those that `about` says, as a checkpoint has them. Raises TypeError, ValueError where they are none."""
        given = {**about, "sources": tuple(about["sources"]), "challengers": tuple(about.get("challengers", ()))}
        if given["records"] is not None:
            options = RecordOptions(**{name: _frozen(value) for name, value in given["records"]["options"].items()})
            given["records"] = RecordSettings(**{**given["records"], "options": options})
        if given.get("task") is not None:
            given["task"] = TaskSettings(**given["task"])
        return cls(**given)

    @property
    def labels(self) -> tuple[str, ...]:
        """Where labels of records come from, if they have a source of their own."""
        return () if self.records is None or self.records.label_from is None else (self.records.label_from,)

    @property
    def about(self) -> dict[str, Any]:
        """All that says something of the run; of its sources, what may be shown of their addresses."""
        unused: tuple[str, ...] = ("task",) if self.task is None else ("vocabulary", "encoding", "seq_len")
        unused += () if self.records is None else TEXT_ALONE
        found = {name: value for name, value in asdict(self).items() if name not in unused}
        if self.labels:
            found["records"]["label_from"] = shown(self.labels[0])
        return found | {"sources": tuple(map(shown, self.sources))}

    def open_records(
        self,
        **arguments: Any,  # noqa: ANN401 (of open_records)
    ) -> AbstractAsyncContextManager[Records]:
        """The records in the sources."""
        from ..lanes.open_records import open_records  # with it come all formats, which a text has no use for

        assert self.records is not None
        given = {one.name: getattr(self.records, one.name) for one in fields(self.records)}
        given |= {"target": self.records.target or (), "seed": self.seed}
        given |= {"batch_size": self.batch_size, "seq_len": self.seq_len, "challengers": self._challenges()}
        return open_records(*self.sources, **given, **arguments)

    def _challenges(self) -> list[Challenge]:
        """The challengers, each as in a run of its own with its options in the place of these."""
        from ..lanes.challenger import Challenge

        found = []
        for text in self.challengers:
            own = replace(self, **challenger_options(text))
            makes = own.make_optimizer, own.clip, self.make_guard
            found.append(Challenge(text, own.model_options, *makes, delay=self.delay))
        return found

    @property
    def model_options(self) -> dict[str, Any]:
        """The arguments of `Records.model`."""
        return {"hidden_size": self.hidden, "num_layers": self.layers, "cell": self.cell, "seed": self.seed}

    def make_guard(self) -> Guard | None:
        """What is done about bad batches."""
        return Guard() if self.on_bad_batch == "skip" else None

    def make_model(self, records: Records) -> SequenceModel:
        """The model of `records`, new."""
        return records.model(**self.model_options)

    def make_trainer(self, model: Trainable, *, seed: int = 0) -> Trainer:
        """The trainer of `model`, new; `seed` is that of the dropout."""
        return Trainer(
            model,
            self.make_optimizer(),
            clip=self.clip,
            delay=self.delay,
            shards=self.shards,
            executor=self.executor,
            seed=seed,
            watchdog=self.watchdog,
            guard=self.make_guard(),
        )

    def make_optimizer(self) -> Optimizer:
        """The optimizer, new."""
        make, lr = OPTIMIZERS[self.optimizer]
        return make(self.lr if self.lr is not None else lr)


def _frozen(value: Any) -> Any:  # noqa: ANN401 (JSON)
    return tuple(value) if isinstance(value, list) else value
