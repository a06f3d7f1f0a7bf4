"""A training run from the command line: source, model, trainer, display, signals, and the checkpoint at the end."""

from __future__ import annotations

import errno
import math
import os
import signal
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import trio

from ...core.model.batch import SequenceBatch
from ...core.model.sequence_model import SequenceModel
from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop
from ...core.text.text_model import TextModel
from ...core.text.vocabulary import Vocabulary
from ..lanes import open_source, read_vocabulary
from ..observe.reports import Report
from ..observe.timeline import Timeline
from ..training.fit import default_epochs
from ..training.trainer import Trainer
from .display import Display

__all__ = ["OPTIMIZERS", "Outcome", "Settings", "checkpoint_path", "prepare_folder", "save", "train_text", "try_file"]

GRACE = 5.0  # seconds
WARN_UNKNOWN = 0.01  # of the symbols

# By name: how to make one from a learning rate, and the learning rate where none is given.
OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], float]] = {
    "adagrad": (Adagrad, 0.05),
    "adam": (Adam, 0.002),
    "adamw": (AdamW, 0.002),
    "rmsprop": (RMSprop, 0.002),
    "sgd": (SGD, 0.5),
}


@dataclass(frozen=True)
class Settings:
    """What the command line says of a run; the names are those of the options."""

    source: str
    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embedding: int = 64
    batch_size: int = 32
    seq_len: int = 64
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
    seed: int = 0


@dataclass
class Outcome:
    """How a run ended: by itself, by an ``error``, or by the ``signal`` of this number.

    ``losses`` are those of the last 50 batches; ``leftover`` is how much of the source made no whole batch, and
    ``unknown`` how many symbols of the batches were none of the vocabulary.
    """

    losses: deque[float] = field(default_factory=lambda: deque(maxlen=50))
    text: TextModel | None = None
    trainer: Trainer | None = None
    error: Exception | None = None
    signal: int | None = None
    leftover: int = 0
    unknown: int = 0


def checkpoint_path(folder: str | os.PathLike[str]) -> Path:
    """Where the weights of a run stand in its folder."""
    return Path(folder) / "model.safetensors"


def prepare_folder(folder: str | os.PathLike[str]) -> None:
    """Make `folder` and try that a file can be written there, before an hour of training rather than after it.

    Raises OSError.
    """
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def try_file(path: str | os.PathLike[str]) -> None:
    """Try that the file `path` can be written at the end of a run, and leave it as it is. Raises OSError."""
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    with tempfile.TemporaryFile(dir=os.path.dirname(path) or "."):
        pass


async def train_text(
    settings: Settings, display: Display, seconds: float = math.inf, timeline: Timeline | None = None
) -> Outcome:
    """Train as `settings` say, for at most `seconds`, until the source ends, a signal comes or a stage fails.

    The first SIGINT or SIGTERM ends the run in good order: nothing more is taken in, what is in flight is applied if
    it takes no longer than `GRACE`, and the model is that of the batches applied. A second one ends the process at
    once. `timeline` records who computed what, and when.
    """
    run = Outcome()
    async with trio.open_nursery() as nursery:
        training = trio.CancelScope()  # of its own: the watcher goes on until the last pass has ended
        await nursery.start(_watch_signals, run, training)
        with training, trio.move_on_after(seconds):
            try:
                await _train(settings, display, run, timeline)
            except Exception as error:  # the caller saves what was applied before it shows the error
                run.error = error
        nursery.cancel_scope.cancel()
    return run


async def _watch_signals(
    run: Outcome, scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            if run.signal is not None:
                os._exit(128 + number)
            run.signal = number
            if run.trainer is None or not run.trainer.stop(GRACE):
                scope.cancel()  # it has not begun


async def _train(settings: Settings, display: Display, run: Outcome, timeline: Timeline | None) -> None:
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
        run.losses.append(report.loss)
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
        model = SequenceModel(
            len(source.vocabulary),
            embedding_size=settings.embedding,
            hidden_size=settings.hidden,
            num_layers=settings.layers,
            cell=settings.cell,
            seed=settings.seed,
        )
        trainer = Trainer(
            model,
            _optimizer(settings),
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
        if run.signal is None:  # else there is more than that at the end
            run.leftover = source.leftover


async def _vocabulary(settings: Settings) -> str | Vocabulary:
    name = settings.vocabulary
    return name if name in ("chars", "bytes") else await read_vocabulary(_model_file(name), settings.encoding)


def _model_file(path: str) -> str | Path:
    """The file in the folder of a run, or `path` itself where it is none."""
    return checkpoint_path(path) if os.path.isdir(path) else path


def _optimizer(settings: Settings) -> Optimizer:
    make, lr = OPTIMIZERS[settings.optimizer]
    return make(settings.lr if settings.lr is not None else lr)


def save(run: Outcome, settings: Settings, folder: str | os.PathLike[str]) -> Path | None:
    """Write the checkpoint of `run` into `folder`; None where no batch was applied. Raises OSError."""
    if run.text is None or run.trainer is None or run.trainer.step == 0:
        return None
    path = checkpoint_path(folder)
    about = {
        **asdict(settings),
        "step": run.trainer.step,
        "ranks": run.trainer.ranks,
        "blas_threads": run.trainer.blas_threads,
    }
    run.text.save(path, about)
    return path
