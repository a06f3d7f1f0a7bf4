"""Training for a task from the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import trio

from ...core.base.checks import ArgumentError
from ..decoding.block import Reject
from ..decoding.quarantine import Quarantine
from ..observe.reports import Report
from ..tasks.table import Task
from ..training.epochs import BestEpoch, train_epochs
from .epochs import BestModel, EpochBatches
from .job import Job
from .rejects import Rejects
from .serving import serving
from .settings import Settings

__all__ = ["read_task", "train_task"]


async def read_task(settings: Settings, on_reject: Callable[[Reject], None] | None = None) -> tuple[Task, EpochBatches]:
    """The task of `settings`, and the batches of its rows; `on_reject` is told of what cannot be used.

    Raises OSError, SourceError, ArgumentError.
    """
    asked = settings.task
    assert asked is not None

    async def read(source: str) -> Any:  # noqa: ANN401 (what the task is made of)
        rows, rejects = await asked.kind.read(source, [*asked.columns.values()], asked.format)
        if on_reject is not None:
            for reject in rejects:
                on_reject(reject)
        return rows

    rows = await read(settings.sources[0])
    dev = None if asked.dev is None else await read(asked.dev)

    def make() -> tuple[Task, EpochBatches]:
        task = asked.kind.make(rows, dev, asked.symbols)
        batches = task.batches(settings.batch_size, epochs=settings.epochs, seed=settings.seed)
        return task, EpochBatches(batches, sha256(repr((rows, dev)).encode("utf-8", "surrogatepass")).hexdigest())

    return await trio.to_thread.run_sync(make, abandon_on_cancel=True)  # where a signal need not wait for it


async def train_task(job: Job) -> None:
    """Train as the settings of `job` say."""
    settings, display, run, sinks, saving = job.settings, job.display, job.outcome, job.sinks, job.saving
    assert settings.task is not None
    kind = settings.task.kind

    def on_epoch(report: Report, best: BestEpoch) -> None:
        report, epoch = report._replace(loss=batches.loss), len(best.scores)
        kept.take(best, whole=report.step % batches.per_epoch == 0)
        note(report)
        display.say(f"epoch {epoch}: loss {batches.loss:.4f}, {kept.words(best.scores[-1])}")
        metrics = {"dev": kept.metrics(best.scores[-1])}
        display.report(report, {"epoch": epoch, "metrics": metrics, "best_epoch": 1 + int(np.argmax(best.scores))})
        if saving is not None:  # before a checkpoint behind this epoch, which needs it to be gone on with
            kept.save(saving.model, run.about(settings))

    with Quarantine(sinks.rejects, rotate=sinks.rotate) as quarantine:  # all rows are read again where a run goes on
        rejects = Rejects(quarantine, display, verbose=sinks.verbose)
        task, batches = await read_task(settings, rejects.add)
    job.opening.cancel()
    sizes = {"hidden_size": settings.hidden, "embedding_size": settings.embedding, "num_layers": settings.layers}
    make = partial(task.model, **sizes, cell=settings.cell, seed=settings.seed)
    model = await trio.to_thread.run_sync(make, abandon_on_cancel=True)
    trainer = settings.make_trainer(model, seed=settings.seed)
    run.model = kept = BestModel(kind, task, model)
    run.trainer = trainer
    job.go_on(trainer, batches, lambda: kept)
    if saving is not None and trainer.step >= batches.per_epoch:
        kept.find(saving.model)
    note = job.sayer(trainer)
    what = f"{settings.cell} {settings.layers}×{settings.hidden}, {model.layout.size:,} parameters"
    display.say(f"{what}; {task.about}; batches of {settings.batch_size}")
    how: dict[str, Any] = {"timeline": job.timeline, "checkpoints": None if saving is None else saving.checkpoints}
    async with serving(job, trainer):
        try:
            best = await train_epochs(trainer, batches, task.score, before=kept.best, on_epoch=on_epoch, **how)
        except ArgumentError:
            if trainer.step or job.interrupts.number is None:
                raise
            return  # it was interrupted before there was anything
    run.epochs = f"{len(best.scores)} epochs; the best is epoch {best.epoch}: {kept.words(best.score)}"
    if quarantine.count:
        run.epochs += f"; {quarantine.count:,} rows were rejected"
