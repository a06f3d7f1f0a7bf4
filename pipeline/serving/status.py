"""What a run says of itself to whoever asks."""

from __future__ import annotations

from collections import deque
from typing import Any

import trio

from ..checkpoint.checkpoints import Checkpoints
from ..lanes.records import Records
from ..training.trainer import Trainer
from .recent import Recent

__all__ = ["Status"]

FRESH = 0.2  # seconds in which it is not asked again, however many ask
EVENTS = 100  # that are remembered
SHOWN_KEYS = 200


class Status:
    """The state of `trainer`, of the `records` that it learns from, if it does, and of its `checkpoints`.

    `recent` are the last forecasts. ``note`` adds an event: a line about something that has happened.
    """

    def __init__(
        self,
        trainer: Trainer,
        records: Records | None = None,
        checkpoints: Checkpoints | None = None,
        recent: Recent | None = None,
    ) -> None:
        self.trainer, self.records, self.checkpoints, self.recent = trainer, records, checkpoints, recent
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS)
        self._begun = self._asked = trio.current_time()
        self._said: dict[str, Any] = {}
        for time, _, text in trainer.history.events:  # of runs that it goes on with
            self._events.append({"seconds": round(time - trainer.history.seconds, 3), "text": text})
        self._before = trainer.step

    def note(self, text: str) -> None:
        """Something has happened."""
        self._events.append({"seconds": round(trio.current_time() - self._begun, 3), "text": text})
        self.trainer.history.note(text)

    @property
    def ready(self) -> bool:
        """Whether a batch has been applied, by this run or one before."""
        return self.trainer.step > 0

    def degraded(self) -> list[str]:
        """What is wrong, though it goes on."""
        return [] if self.checkpoints is None or self.checkpoints.problem is None else [self.checkpoints.problem]

    def now(self) -> dict[str, Any]:
        """All of it, as plain values; floats may not be finite."""
        time = trio.current_time()
        if not self._said or time - self._asked >= FRESH:
            self._asked, self._said = time, self._make(time)
        return self._said

    def _make(self, time: float) -> dict[str, Any]:
        report, config = self.trainer.report(), self.trainer.model.config
        version, _ = self.trainer.latest()
        found: dict[str, Any] = {
            "state": "training" if report else "ended" if self.trainer.step > self._before else "waiting",
            "degraded": self.degraded(),
            "uptime": round(time - self._begun, 3),
            "step": self.trainer.step,
            "version": version,
            "learning_rate": self.trainer.state.updater.lr,
            "model": {name: config[name] for name in ("cell", "hidden_size", "num_layers") if name in config}
            | {"parameters": self.trainer.model.layout.size},
        }
        for name in ("loss", "grad_norm", "staleness", "tokens", "tokens_per_second", "seconds", "executor"):
            found[name] = None if report is None else getattr(report, name)
        for name in ("skipped", "undone"):
            found[name] = 0 if report is None else getattr(report, name)
        for name in ("stages", "channels"):
            found[name] = [] if report is None else [part._asdict() for part in getattr(report, name)]
        found["records"] = report.records if report is not None else self.records and self.records.report()
        found["schema"] = None if self.records is None else _schema(self.records)
        found["latency"] = None if report is None else report.latency
        found["checkpoint"] = self._checkpoint(time)
        found["keys"] = [] if self.recent is None else self.recent.keys(SHOWN_KEYS)
        found["events"] = [*self._events]
        return found

    def _checkpoint(self, time: float) -> dict[str, Any] | None:
        kept = self.checkpoints
        if kept is None:
            return None
        age = None if kept.saved is None else round(time - kept.saved_at, 3)
        return {"step": kept.saved, "age": age, "every": kept.every, "problem": kept.problem}


def _schema(records: Records) -> dict[str, Any]:
    """The fields that forecasts are of, by their names."""
    schema = records.encoder.schema
    return {"key": schema.key, "targets": [str(target) for target in schema.targets], "label": schema.label}
