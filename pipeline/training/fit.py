"""`fit`: train on a text from code without an event loop."""

from __future__ import annotations

import os
from collections.abc import Callable

import trio

from ...core.model.sequence_model import SequenceModel
from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import Adam
from ...core.text.text_model import TextModel
from ...core.text.vocabulary import Vocabulary
from ..lanes import open_source
from ..observe.reports import Report
from .trainer import Trainer

__all__ = ["default_epochs", "fit"]


def default_epochs(steps: int | None, epochs: int | None) -> int | None:
    """How often to read a file: as often as `steps` needs where they are given alone, once where nothing is."""
    return 1 if steps is None and epochs is None else epochs


def fit(
    source: str | os.PathLike[str],
    *,
    cell: str = "lstm",
    hidden_size: int = 128,
    num_layers: int = 1,
    embedding_size: int = 64,
    batch_size: int = 32,
    seq_len: int = 64,
    steps: int | None = None,
    epochs: int | None = None,
    optimizer: Optimizer | None = None,
    clip: float | None = 1.0,
    delay: int = 0,
    shards: int = 1,
    executor: str = "auto",
    vocabulary: str | Vocabulary = "chars",
    encoding: str | None = None,
    seed: int = 0,
    on_report: Callable[[Report], None] | None = None,
) -> TextModel:
    """Train a model on the text in `source` (a path, or ``"-"``) and return it with its vocabulary.

    It ends after `steps` batches, or after `epochs` times over the source; with neither, after one. `optimizer` is
    ``Adam(0.002)`` where it is not given. The other arguments are those of `open_source`,
    `recurrio.core.SequenceModel` and `Trainer`.
    """

    async def train() -> TextModel:
        async with open_source(
            source,
            batch_size=batch_size,
            seq_len=seq_len,
            vocabulary=vocabulary,
            epochs=default_epochs(steps, epochs),
            encoding=encoding,
        ) as batches:
            model = SequenceModel(
                len(batches.vocabulary),
                embedding_size=embedding_size,
                hidden_size=hidden_size,
                num_layers=num_layers,
                cell=cell,
                seed=seed,
            )
            trainer = Trainer(
                model,
                Adam(0.002) if optimizer is None else optimizer,
                clip=clip,
                delay=delay,
                shards=shards,
                executor=executor,
            )
            await trainer.run(batches, steps=steps, on_report=on_report)
            return TextModel(model, batches.vocabulary)

    return trio.run(train)
