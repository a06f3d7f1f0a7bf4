"""`fit`: train on a text, or on records, from code without an event loop."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, overload

import trio

from ...core.model.sequence_model import SequenceModel
from ...core.online.record_model import RecordModel
from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import Adam
from ...core.text.text_model import TextModel
from ...core.text.vocabularies import TextVocabulary
from ..lanes import open_source
from ..lanes.live import LiveSource
from ..observe.reports import Report
from .trainer import Trainer

if TYPE_CHECKING:
    from ..lanes.records import Records

__all__ = ["default_epochs", "fit"]


def default_epochs(steps: int | None, epochs: int | None) -> int | None:
    """How often to read a file: as often as `steps` needs where they are given alone, once where nothing is."""
    return 1 if steps is None and epochs is None else epochs


@overload
def fit(source: Records, **options: Any) -> RecordModel: ...  # noqa: ANN401 (see below)
@overload
def fit(source: object, *, features: str | Iterable[str], **options: Any) -> RecordModel: ...  # noqa: ANN401 (see below)
@overload
def fit(source: str | os.PathLike[str], **options: Any) -> TextModel: ...  # noqa: ANN401 (see below)
def fit(
    source: Any,
    *,
    cell: str = "lstm",
    hidden_size: int | None = None,
    num_layers: int = 1,
    embedding_size: int = 64,
    batch_size: int | None = None,
    seq_len: int | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    optimizer: Optimizer | None = None,
    clip: float | None = 1.0,
    delay: int = 0,
    shards: int = 1,
    executor: str = "auto",
    vocabulary: str | TextVocabulary = "chars",
    encoding: str | None = None,
    seed: int = 0,
    on_report: Callable[[Report], None] | None = None,
    report_every: float = 1,
    **fields: Any,
) -> TextModel | RecordModel:
    """Train a model on `source`, and return it with what gives its inputs a meaning; its ``history`` has the curves.

    A text is in `source`, a path, or ``"-"``. It ends after `steps` batches, or after `epochs` times over the source;
    with neither, after one. Records are in `source` where that is a `Records`, or where `features` are named: in a file
    then, or any iterable that `Records` takes; `fields` are the arguments of `Records`, or of `open_records`.

    `hidden_size`, `batch_size` and `seq_len` are 128, 32 and 64 for a text where they are not given, and 32, 64 and 8
    for records; `optimizer` is ``Adam(0.002)``. The other arguments are those of `open_source`,
    `recurrio.core.SequenceModel` and `Trainer`.
    """
    options: dict[str, Any] = {"cell": cell, "num_layers": num_layers, "seed": seed}
    reporting: dict[str, Any] = {"steps": steps, "on_report": on_report, "report_every": report_every}

    def make_trainer(model: SequenceModel) -> Trainer:
        running: dict[str, Any] = {"clip": clip, "delay": delay, "shards": shards, "executor": executor}
        return Trainer(model, optimizer or Adam(0.002), **running)

    async def train_text() -> TextModel:
        async with open_source(
            source,
            batch_size=batch_size or 32,
            seq_len=seq_len or 64,
            vocabulary=vocabulary,
            epochs=default_epochs(steps, epochs),
            encoding=encoding,
        ) as batches:
            model = SequenceModel(
                len(batches.vocabulary), embedding_size=embedding_size, hidden_size=hidden_size or 128, **options
            )
            trainer, trained = make_trainer(model), TextModel(model, batches.vocabulary)
            await trainer.run(batches, **reporting)
            trained.history = trainer.history
            return trained

    async def train_records() -> RecordModel:
        async with _open(source, {"batch_size": batch_size, "seq_len": seq_len}, fields, seed) as records:
            model = records.model(hidden_size=hidden_size or 32, **options)
            trainer = make_trainer(model)
            await trainer.run(records, **reporting)
            trained = records.trained(model)
            trained.history = trainer.history
            return trained

    if isinstance(source, LiveSource) or "features" in fields:
        return trio.run(train_records)
    if fields:
        raise TypeError(f"fit() got unexpected arguments {', '.join(fields)}; records need features, a text takes none")
    return trio.run(train_text)


@asynccontextmanager
async def _open(
    source: object, sizes: dict[str, int | None], fields: dict[str, Any], seed: int
) -> AsyncIterator[Records]:
    from ..lanes.open_records import open_records  # with it come all formats, which a text has no use for
    from ..lanes.records import Records

    given = {**fields, **{name: value for name, value in sizes.items() if value is not None}}
    if isinstance(source, Records):
        if given:
            raise TypeError(f"fit() got {', '.join(given)}, which the records have already")
        yield source
        return
    given = {"seed": seed, **given}  # of what is drawn again
    if isinstance(source, str | os.PathLike):
        async with open_records(source, **given) as records:
            yield records
    else:
        yield Records(source, **given)
