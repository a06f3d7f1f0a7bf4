"""Records as they come, from bytes through a trainer, and all that is said of them."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np

from recurrio.core import Adam, SequenceBatch
from recurrio.core.base.parameters import Array
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.decoding.options import RecordOptions
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from support.streams import Bytes, as_jsonl, items, note_forecasts

__all__ = ["Run", "inputs_of", "open_records", "run"]

PARTS = ("applied", "unlabelled", "dropped", "rejected")


class Run(NamedTuple):
    """What has come of some records."""

    report: dict[str, Any]
    predictions: list[Any]  # (number, version, key, forecast …)
    reasons: list[str]
    warnings: list[str]
    losses: list[float]

    @property
    def counts(self) -> tuple[int, ...]:
        """Applied, unlabelled, rejected, and the keys there are."""
        return tuple(self.report[name] for name in ("applied", "unlabelled", "rejected", "keys"))


Data = bytes | str | list[dict[str, Any]]


def open_records(
    data: Data,
    form: str = "jsonl",
    options: RecordOptions = RecordOptions(),  # noqa: B008 (it cannot change)
    **given: Any,  # noqa: ANN401 (the arguments of Records)
) -> Records:
    """The records in `data`, by default x of each k, one record ahead, in blocks of 64 KiB."""
    given = {"features": "x", "target": () if "label" in given else "x@+1", "key": "k", "max_keys": 64, **given}
    if isinstance(data, list):
        data = as_jsonl(data)
    data = data.encode() if isinstance(data, str) else data
    pieces = [data[start : start + 65536] for start in range(0, len(data), 65536)]
    return Records((), **given, _source=lambda fields: DecodedBlocks(Bytes(pieces), form, fields, options))


async def run(
    data: Data,
    form: str = "jsonl",
    options: RecordOptions = RecordOptions(),  # noqa: B008 (it cannot change)
    **given: Any,  # noqa: ANN401 (the arguments of Records)
) -> Run:
    """Train on all of `data`; every record is accounted for, and no number is infinite or NaN."""
    records = open_records(data, form, options, **given)
    done = Run({}, [], [], [], [])
    records.on_forecasts, records.on_warning = note_forecasts(done.predictions), done.warnings.append
    records.on_reject = lambda reject: done.reasons.append(reject.reason)
    trainer = Trainer(records.model(hidden_size=16, seed=1), Adam(0.003), clip=1.0, executor="inline")
    await trainer.run(records, on_report=lambda report: done.losses.append(report.loss), report_every=50)
    report = records.report()
    assert sum(report[part] for part in PARTS) == report["records"]
    assert report["waiting"] == 0
    json.dumps(report, allow_nan=False)
    assert all(map(math.isfinite, done.losses))
    return done._replace(report=report)


def inputs_of(data: Data, **given: Any) -> Array:  # noqa: ANN401 (the arguments of Records)
    """What a model reads of the records of one key, in their order, but for the last ``(n, I)``; nothing is trained."""
    records = open_records(data, key=None, max_keys=1, forecasts=False, stride=8, **given)
    records.begin(records.model(hidden_size=4, seed=1), 1)
    batches = [item for item in items(records) if isinstance(item, SequenceBatch)]
    return np.concatenate(
        [batch.inputs[: batch.inputs.shape[0] if batch.lengths is None else batch.lengths[0], 0] for batch in batches]
    )
