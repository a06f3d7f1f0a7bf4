"""A training run from the command line: source, model, trainer, display, and signals."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass, field
from functools import partial

import trio

from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.text.text_model import TextModel
from ...core.text.vocabulary import Vocabulary
from ..lanes import open_source, read_vocabulary
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..training.fit import default_epochs
from ..training.trainer import Trainer
from .display import Display
from .folder import model_path
from .settings import Settings
from .signals import Interrupts

__all__ = ["Outcome", "train_text"]

GRACE = 5.0  # seconds
SHOWN = 50  # losses that a mean is taken of
SILENT = 1.0  # seconds
WARN_UNKNOWN = 0.01  # of the symbols


@dataclass
class Outcome:
    """How a run ended: by itself, by a signal, or by an ``error``.

    ``first`` is the loss of the first batch, and ``losses`` are those of the last 50; ``leftover`` is how much of the
    source made no whole batch, and ``unknown`` how many symbols of the batches were none of the vocabulary.
    """

    first: float | None = None
    losses: deque[float] = field(default_factory=lambda: deque(maxlen=SHOWN))
    text: TextModel | None = None
    trainer: Trainer | None = None
    error: Exception | None = None
    leftover: int = 0
    unknown: int = 0

    @property
    def steps(self) -> int:
        """How many batches were applied."""
        return 0 if self.trainer is None else self.trainer.step

    def note(self, loss: float) -> None:
        """Take in the loss of the next batch."""
        if self.first is None:
            self.first = loss
        self.losses.append(loss)

    def last(self) -> float:
        """The mean loss of the last 50 batches, or of the second half of them where they are few."""
        count = max(1, min(SHOWN, self.steps // 2))
        return sum(list(self.losses)[-count:]) / count

    def save(self, settings: Settings, path: str | os.PathLike[str]) -> bool:
        """Write the model, if a batch was applied, to `path`; whether one was. Raises OSError."""
        if self.text is None or self.trainer is None or self.steps == 0:
            return False
        about = {"step": self.steps, "ranks": self.trainer.ranks, "blas_threads": self.trainer.blas_threads}
        self.text.save(path, asdict(settings) | about)
        return True


async def train_text(
    settings: Settings,
    display: Display,
    interrupts: Interrupts,
    seconds: float = math.inf,
    timeline: Timeline | None = None,
) -> Outcome:
    """Train as `settings` say, for at most `seconds`, until the source ends, a signal comes or a stage fails.

    The first of the `interrupts`, which the caller holds, ends the run in good order: nothing more is taken in, what is
    in flight is applied if it takes no longer than `GRACE`, and the model is that of the batches applied. `timeline`
    records who computed what, and when.
    """
    run, token = Outcome(), trio.lowlevel.current_trio_token()
    training, opening = trio.CancelScope(), trio.CancelScope()

    def stop() -> None:
        if run.trainer is None or not run.trainer.stop(GRACE):
            training.cancel()  # it has not begun

    async with trio.open_nursery() as nursery:
        with interrupts.forward(partial(token.run_sync_soon, stop)), training, trio.move_on_after(seconds):
            try:
                nursery.start_soon(_explain, settings.source, display, opening)
                await _train(settings, display, interrupts, run, opening, timeline)
            except Exception as error:  # the caller saves what was applied before it shows the error
                run.error = error
        opening.cancel()
    return run


async def _train(
    settings: Settings,
    display: Display,
    interrupts: Interrupts,
    run: Outcome,
    opening: trio.CancelScope,
    timeline: Timeline | None,
) -> None:
    said, warned = "", False
    unknown = deque[int]()  # of the text up to each batch that is on its way

    async def batches() -> AsyncGenerator[SequenceBatch, None]:
        async with aclosing(aiter(source)) as iterator:
            async for batch in iterator:
                unknown.append(source.unknown)
                yield batch

    def on_report(report: Report) -> None:
        nonlocal said, warned
        if trainer.choice != said:
            said = trainer.choice
            display.say(f"executor: {said}")
        run.note(report.loss)
        run.unknown = unknown.popleft()
        if run.unknown >= WARN_UNKNOWN * report.tokens and not warned:
            warned = True
            display.say(
                f"warning: {run.unknown / report.tokens:.1%} of the symbols so far are none of the vocabulary; "
                "--vocabulary FILE gives one beforehand, --vocabulary bytes knows all"
            )
        display.report(report, {"unknown": run.unknown})

    async with open_source(
        settings.source,
        batch_size=settings.batch_size,
        seq_len=settings.seq_len,
        vocabulary=await _vocabulary(settings),
        epochs=default_epochs(settings.steps, settings.epochs),
        encoding=settings.encoding,
    ) as source:
        opening.cancel()
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
        trainer = Trainer(
            model,
            settings.make_optimizer(),
            clip=settings.clip,
            delay=settings.delay,
            shards=settings.shards,
            executor=settings.executor,
            watchdog=settings.watchdog,
        )
        run.text, run.trainer = TextModel(model, source.vocabulary), trainer
        display.say(
            f"{settings.cell} {settings.layers}×{settings.hidden}, {model.layout.size:,} parameters, "
            f"{len(source.vocabulary)} symbols; {settings.batch_size} lanes × {settings.seq_len} steps; "
            f"delay {settings.delay}, shards {settings.shards}, ranks {trainer.ranks}"
        )
        await trainer.run(batches(), steps=settings.steps, on_report=on_report, timeline=timeline)
        if interrupts.number is None:  # else there is more than that at the end
            run.leftover = source.leftover


async def _vocabulary(settings: Settings) -> str | Vocabulary:
    name = settings.vocabulary
    if name in ("chars", "bytes"):
        return name
    if await trio.Path(name).is_dir():
        name = str(model_path(name))
    return await read_vocabulary(name, settings.encoding)


async def _explain(source: str, display: Display, opening: trio.CancelScope) -> None:
    """Say what is waited for, where that takes its time."""
    with opening:
        await trio.sleep(SILENT)
        with suppress(OSError):  # the next message meets it as well
            display.say(f"reading {'standard input' if source == '-' else source}: the first batch is not there yet")
