"""A run from one of its checkpoints on, once more, by the serial loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import trio
import trio.from_thread
import trio.to_thread

from ...core import serial
from ...core.model.batch import SequenceBatch
from ...core.optim.updater import Updater, planned_version
from ...core.seq2seq.table import model_from_config
from ...core.training_state import TrainingState
from ..checkpoint import CheckpointError, Found
from ..checkpoint.fingerprint import differences, fingerprint
from ..lanes import Source, open_source, read_vocabulary
from ..lanes.live import Arrivals, LiveSource
from ..sources.journal import Journals
from ..stages.intake import Intake, Marks
from .epochs import EpochBatches
from .folder import journals_path
from .settings import Settings
from .train_task import read_task

__all__ = ["Again", "opened", "rerun", "say_differences", "settings_of"]


class Again(NamedTuple):
    """A batch that has been trained on once more: what came of it, the state after it, and where it came from."""

    step: serial.Step
    batch: SequenceBatch
    state: TrainingState
    intake: Intake
    source: Source | LiveSource | EpochBatches


def settings_of(found: Found) -> Settings:
    """Those of the run. Raises CheckpointError."""
    try:
        return Settings.of(found.part.about["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{found.path}: says nothing of its run that can be used: {error}") from None


async def rerun(folder: str, found: Found, last: int, tell: Callable[[Again], object]) -> int:
    """Train on from the checkpoint `found` of the run in `folder`, up to the step `last`; the steps that there were.

    `tell` is told of each batch.
    The loop is that of `recurrio.core.serial`, in a thread. Raises CheckpointError, SourceError.
    """
    settings, about = settings_of(found), found.part.about
    async with opened(folder, settings, found) as source:
        model = model_from_config(about["model"])
        training = found.part.part("training")
        cut = {name: training.about[name] for name in ("shards", "ranks", "delay", "seed")}
        state = TrainingState(
            model, Updater(settings.make_optimizer(), settings.clip, guard=settings.make_guard()), **cut
        )
        try:
            intake = Intake(source, last - found.step, Marks())
            intake.load(model, state.shards, found.part.part("source"))
            state.load(training)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{found.path}: of another run, or damaged: {error}") from None
        intake.begin(model, state.shards, state.applied)
        threads = int(about["fingerprint"]["blas threads"])
        async with aclosing(intake):
            first = await intake.peek()
            if first is None:
                return found.step
            steps, lanes, keys, spare = intake.size(first, model.network)
            largest = max(steps, training.about["steps"]), training.about["lanes"] or lanes
            sizes = {"keys": keys, "spare": spare, "blas_threads": threads}

            def work() -> None:
                kept: list[SequenceBatch] = []
                batches = _batches(intake, state, kept)
                for step in serial.run(state, batches, largest=largest, **sizes):
                    tell(Again(step, kept[0], state, intake, source))

            await trio.to_thread.run_sync(work)
        return state.applied


def _batches(intake: Intake, state: TrainingState, kept: list[SequenceBatch]) -> Iterator[SequenceBatch]:
    """The batches in a thread; records between them are forecast as in the pipeline."""
    while True:
        item = trio.from_thread.run(intake.next, state.applied)
        if item is None:
            return
        if isinstance(item, Arrivals):
            assert intake.records is not None
            version = planned_version(state.applied, state.delay)
            intake.records.forecast(item, version, state.version(version))
            continue
        kept[:] = [item]
        yield item
        intake.applied(None)


@asynccontextmanager
async def opened(folder: str, settings: Settings, found: Found) -> AsyncIterator[Source | LiveSource | EpochBatches]:
    """What the run in `folder` was about; what cannot be read again is read from its journals. Raises SourceError."""
    journals = Journals(journals_path(folder), only=True)
    if settings.records is not None:
        async with settings.open_records(journals=journals) as records:
            yield records
        return
    if settings.task is not None:
        yield (await read_task(replace(settings, epochs=None)))[1]
        return
    vocabulary: Any = settings.vocabulary
    if vocabulary not in ("chars", "bytes"):
        vocabulary = await read_vocabulary(vocabulary, settings.encoding)
    position = found.part.part("source").about["position"]
    text: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "seq_len": settings.seq_len,
        "vocabulary": vocabulary,
        "encoding": settings.encoding,
        "position": position,
        "journals": journals,
    }
    async with open_source(settings.sources[0], epochs=None, **text) as source:
        yield source


def say_differences(found: Found, out: Callable[[str], None]) -> None:
    """Say what is another one now that the last bits depend on."""
    before = found.part.about["fingerprint"]
    if other := differences(before, fingerprint(int(before["blas threads"]))):
        out(f"recurrio: warning: the last bits may be others: {'; '.join(other)}")
