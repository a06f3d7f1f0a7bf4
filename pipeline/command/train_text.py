"""Training on a text from the command line."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import trio

from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.text.symbol_scores import SymbolScores
from ...core.text.text_model import TextModel
from ...core.text.vocabularies import TextVocabulary
from ..lanes import Source, open_source, read_vocabulary
from ..observe.reports import Report
from ..training.fit import default_epochs
from .folder import model_path
from .job import Job
from .serving import serving
from .settings import Settings

__all__ = ["train_text"]

WARN_UNKNOWN = 0.01  # of the symbols


class _Scored:
    """The batches of `source`; ``unknown`` is how many symbols of those that were applied were, ``scores`` are theirs.

    They are `recurrio.pipeline.stages.intake.Listening`.
    """

    def __init__(self, source: Source) -> None:
        self._source, self.unknown = source, source.unknown
        self.scores = SymbolScores(len(source.vocabulary))
        self._coming = deque[int]()  # how many were unknown up to each batch on its way

    async def __aiter__(self) -> AsyncGenerator[SequenceBatch, None]:
        async with aclosing(aiter(self._source)) as iterator:
            async for batch in iterator:
                self._coming.append(self._source.unknown)
                self.scores.come(batch.targets, begins=batch.reset is True)
                yield batch

    def position(self) -> dict[str, Any]:
        """Where the next batch begins."""
        return {**self._source.position, "scores": self.scores.position()}

    def rewind(self, position: Mapping[str, Any]) -> None:
        """It has been opened there."""
        self.scores.rewind(position["scores"])

    def applied(self, loss: float) -> None:
        """See `Listening`."""
        self.unknown = self._coming.popleft()
        self.scores.learned(loss)

    def told(self) -> dict[str, Any]:
        """See `Listening`."""
        return self.scores.told()

    def recall(self, told: Mapping[str, Any]) -> None:
        """See `Listening`."""
        self.scores.recall(told)


async def train_text(job: Job) -> None:
    """Train as the settings of `job` say."""
    settings, display, run = job.settings, job.display, job.outcome
    warned = False

    def on_report(report: Report) -> None:
        nonlocal warned
        note(report)
        run.unknown, run.symbols = batches.unknown, batches.scores.metrics()
        if run.unknown >= WARN_UNKNOWN * report.tokens and not warned:
            warned = True
            display.say(
                f"warning: {run.unknown / report.tokens:.1%} of the symbols so far are none of the vocabulary; "
                "--vocabulary FILE gives one beforehand, --vocabulary bytes knows all"
            )
        display.report(report, {"unknown": run.unknown, "metrics": {"all": run.symbols}})

    async with open_source(
        settings.sources[0],
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        vocabulary=await _vocabulary(settings),
        epochs=default_epochs(settings.steps, settings.epochs),
        encoding=settings.encoding,
        position=None if job.saving is None else job.saving.position,
        **job.journals,
    ) as source:
        batches = _Scored(source)
        job.opening.cancel()
        # In a thread, where a signal need not wait for it.
        make = partial(
            SequenceModel,
            len(source.vocabulary),
            embedding_size=settings.embedding,
            hidden_size=settings.hidden,
            num_layers=settings.layers,
            cell=settings.cell,
            seed=settings.seed,
        )
        model = await trio.to_thread.run_sync(make, abandon_on_cancel=True)
        job.begin(model, source.vocabulary)
        trainer = settings.make_trainer(model)
        run.model = text = TextModel(model, source.vocabulary)
        run.trainer = trainer
        job.go_on(trainer, batches, lambda: text)
        note = job.sayer(trainer)
        job.describe(model, f"{len(source.vocabulary)} symbols", "lanes", trainer)
        every = job.sinks.report_every or 1
        async with serving(job, trainer):
            await trainer.run(batches, on_report=on_report, report_every=every, **job.how(trainer))
        if job.interrupts.number is None:  # else there is more than that at the end
            run.leftover = source.leftover


async def _vocabulary(settings: Settings) -> str | TextVocabulary:
    name = settings.vocabulary
    if name in ("chars", "bytes"):
        return name
    if await trio.Path(name).is_dir():
        name = str(model_path(name))
    return await read_vocabulary(name, settings.encoding)
