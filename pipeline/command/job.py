"""What a training job of the command is given, and what all jobs do alike."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import trio

from ...core.model.sequence_model import SequenceModel
from ...core.online.encoder import Encoder
from ...core.text.vocabularies import TextVocabulary
from ..checkpoint.checkpoints import Output
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..stages import Batches
from ..training.trainer import Trainer
from .display import Display
from .initial import begin_with
from .outcome import Outcome, Saved
from .saving import Saving
from .settings import Settings
from .signals import Interrupts

__all__ = ["Job", "Sinks"]


class Sinks(NamedTuple):
    """Where to write what a run brings forth: paths, or None; and how often to report, None for the default.

    ``rotate`` is how many bytes of a file are enough, and ``positions`` are where they go on, by their options.
    ``serve`` is the address at which it can be asked, and ``token`` the file of the token for that.
    """

    predictions: str | None = None
    rejects: str | None = None
    report_every: float | None = None
    verbose: bool = False
    rotate: int | None = None
    serve: str | None = None
    token: str | None = None
    positions: Mapping[str, Any] = {}

    def how(self, option: str) -> dict[str, Any]:
        """The position of the file of this option, and how it is rotated."""
        return {"position": self.positions.get(option), "rotate": self.rotate}


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
    saving: Saving | None = None
    init: str | None = None

    @property
    def journals(self) -> dict[str, Any]:
        """The argument that says where journals go, if there are any."""
        return {} if self.saving is None else {"journals": self.saving.journals}

    def begin(self, model: SequenceModel, reads: Encoder | TextVocabulary) -> None:
        """Let a new `model`, of what `reads` says, have the weights that it is to begin with."""
        if self.init is not None and (self.saving is None or self.saving.found is None):
            begin_with(self.init, model, reads)

    def go_on(
        self, trainer: Trainer, source: Batches, make: Callable[[], Saved], outputs: Mapping[str, Output] | None = None
    ) -> None:
        """Go on from a checkpoint, if there is one, and let others be made, of the `outputs` and what `make` makes."""
        gc.freeze()  # what is there stays, and the collector does not look at it again and again
        if self.saving is not None:
            self.saving.resume(trainer, source, self.display.say, self.display.warn)
            self.saving.write_beside(self.outcome, make, trainer)
            self.saving.checkpoints.outputs |= outputs or {}
            self.saving.checkpoints.on_problem = self.display.warn

    def how(self, trainer: Trainer) -> dict[str, Any]:
        """Arguments of a run: how many batches are left, what is drawn of it, and its checkpoints."""
        steps = self.settings.steps
        checkpoints = None if self.saving is None else self.saving.checkpoints
        left = None if steps is None else max(0, steps - trainer.step)
        return {"steps": left, "timeline": self.timeline, "checkpoints": checkpoints}

    def sayer(self, trainer: Trainer) -> Callable[[Report], None]:
        """For each report: say which executor was chosen, when that is known, and note the loss."""
        said, skipped = "", 0

        def note(report: Report) -> None:
            nonlocal said, skipped
            if trainer.choice != said:
                said = trainer.choice
                self.display.say(f"executor: {said}")
            if report.skipped > skipped and trainer.state.updater.guard is not None:
                what = f"{report.skipped} batches were skipped so far, and {report.undone} updates undone"
                self.display.warn(f"{what}; the last one: {trainer.state.updater.guard.reason}")
            skipped = report.skipped
            if math.isfinite(report.loss):
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
