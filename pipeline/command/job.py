"""What a training job of the command is given, and what all jobs do alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import trio

from ...core.model.sequence_model import SequenceModel
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..training.trainer import Trainer
from .display import Display
from .outcome import Outcome
from .settings import Settings
from .signals import Interrupts

__all__ = ["Job", "Sinks"]


class Sinks(NamedTuple):
    """Where to write what a run brings forth: paths, or None; and how often to report, None for the default."""

    predictions: str | None = None
    rejects: str | None = None
    report_every: float | None = None
    verbose: bool = False


class Job(NamedTuple):
    """A run: what it is to do, who is to be told, and its `outcome`, filled in on the way.

    `opening` is cancelled once the first batch can come.
    """

    settings: Settings
    display: Display
    interrupts: Interrupts
    outcome: Outcome
    opening: trio.CancelScope
    timeline: Timeline | None
    sinks: Sinks

    def make_trainer(self, model: SequenceModel) -> Trainer:
        """The trainer that the settings describe."""
        settings = self.settings
        return Trainer(
            model,
            settings.make_optimizer(),
            clip=settings.clip,
            delay=settings.delay,
            shards=settings.shards,
            executor=settings.executor,
            watchdog=settings.watchdog,
        )

    def sayer(self, trainer: Trainer) -> Callable[[Report], None]:
        """For each report: say which executor was chosen, when that is known, and note the loss."""
        said = ""

        def note(report: Report) -> None:
            nonlocal said
            if trainer.choice != said:
                said = trainer.choice
                self.display.say(f"executor: {said}")
            self.outcome.note(report.loss)

        return note

    def describe(self, model: SequenceModel, what: str, lanes: str, trainer: Trainer) -> None:
        """Say what is trained on what."""
        settings = self.settings
        self.display.say(
            f"{settings.cell} {settings.layers}×{settings.hidden}, {model.layout.size:,} parameters, {what}; "
            f"{settings.batch_size} {lanes} × {settings.seq_len} steps; "
            f"delay {settings.delay}, shards {settings.shards}, ranks {trainer.ranks}"
        )
