"""Runs over records: a source whose bytes come as a test likes, and the serial loop over the same records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.base.parameters import Array
from recurrio.core.optim.updater import Updater, planned_version
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Trainer
from recurrio.pipeline.lanes.blocks import DecodedBlocks
from recurrio.pipeline.lanes.forecast import Forecast
from recurrio.pipeline.lanes.records import Records
from recurrio.pipeline.sources import Chunk, Transport

LR, CLIP = 0.01, 1.0


class Bytes(Transport):
    """A transport that brings these pieces, and waits `pause` seconds before each."""

    name = "bytes"

    def __init__(self, pieces: Iterable[bytes], pause: float = 0) -> None:
        self._pieces, self._pause, self._came = iter(pieces), pause, 0

    @property
    def position(self) -> dict[str, int]:
        return {"byte": self._came}

    async def receive(self) -> Chunk:
        await trio.sleep(self._pause)
        for piece in self._pieces:
            self._came += len(piece)
            return Chunk(piece, self.name, self.position)
        raise trio.EndOfChannel

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Result(NamedTuple):
    """What a run comes to: all that must not depend on time, executor and cuts."""

    state: dict[str, bytes]
    predictions: list[tuple[Any, ...]]
    rejects: list[tuple[Any, ...]]
    counts: dict[str, Any]


def make_data(count: int, keys: int, seed: int = 0, skew: float = 1.0, *, broken: int = 0) -> list[dict[str, Any]]:
    """Records of random walks; `broken` of them cannot be used."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, keys + 1) ** skew
    who = rng.choice(keys, count, p=chances / chances.sum())
    level = np.zeros(keys)
    bad = set(rng.choice(count, broken, replace=False).tolist())
    records = []
    for index, key in enumerate(who.tolist()):
        level[key] = 0.9 * level[key] + rng.standard_normal()
        record = {"k": f"key {key}", "x": round(float(level[key]), 3), "y": int(rng.integers(5)), "c": "ab"[key % 2]}
        if rng.random() < 0.05:
            record["x"] = None
        if index in bad:
            record["y"] = "much"
        records.append(record)
    return records


def as_jsonl(records: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_csv(records: list[dict[str, Any]]) -> bytes:
    rows = [",".join("" if value is None else str(value) for value in record.values()) for record in records]
    return "\n".join([",".join(records[0]), *rows, ""]).encode()


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """`data` in pieces."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in pairwise(edges)]


def open_bytes(pieces: Iterable[bytes], form: str = "jsonl", pause: float = 0, **options: object) -> Records:
    given = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 4, "batch_size": 6, "max_keys": 64}
    given["max_categories"] = 3
    return Records(
        (),
        **{**given, **options},
        _source=lambda fields: DecodedBlocks(Bytes(pieces, pause), form, fields),
    )


def note_forecasts(said: list[tuple[Any, ...]]) -> Callable[[Forecast], None]:
    def note(forecast: Forecast) -> None:
        keys = forecast.keys or [""] * len(forecast.values)
        parts = [part for part in (forecast.bounds, forecast.anomaly, forecast.alarm) if part is not None]
        for at, (key, values) in enumerate(zip(keys, forecast.values.tolist(), strict=True)):
            more = [part[at].tolist() for part in parts]
            said.append((forecast.number + at, forecast.version, key, *map(repr, [*values, *more])))

    return note


def bits(state: TrainingState) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.dump().arrays.items()}


def counts_of(records: Records) -> dict[str, Any]:
    """The report, but for what time and memory have to do with."""
    report = records.report()
    del report["sources"]
    return report


async def train(
    records: Records, *, cell: str = "lstm", shards: int = 1, delay: int = 0, executor: str = "inline", hidden: int = 5
) -> Result:
    """All the records, through the pipeline."""
    said, rejects = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    records.on_forecasts = note_forecasts(said)
    records.on_reject = lambda reject: rejects.append((reject.line, reject.reason, reject.data))
    model = records.model(hidden_size=hidden, cell=cell, seed=1)
    trainer = Trainer(model, Adam(LR), clip=CLIP, shards=shards, delay=delay, executor=executor, seed=3)
    with trio.fail_after(60):
        await trainer.run(records)
    return Result(bits(trainer.state), said, rejects, counts_of(records))


def train_serially(records: Records, *, cell: str = "lstm", shards: int = 1, delay: int = 0, hidden: int = 5) -> Result:
    """The same by the serial loop: forecasts in between, with the version that their number says."""
    said, rejects = list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    records.on_forecasts = note_forecasts(said)
    records.on_reject = lambda reject: rejects.append((reject.line, reject.reason, reject.data))
    model = records.model(hidden_size=hidden, cell=cell, seed=1)
    state = TrainingState(model, Updater(Adam(LR), CLIP), shards=shards, delay=delay, seed=3)
    records.begin(model, shards)
    versions = [model.parameters.copy()]

    def batches() -> Iterator[SequenceBatch]:
        for item in items(records):
            if isinstance(item, SequenceBatch):
                yield item
            else:
                version = planned_version(len(versions) - 1, delay)
                records.forecast(item, version, versions[version])

    for _ in run(state, batches(), largest=records.largest, **table_of(records)):
        records.applied()
        versions.append(model.parameters.copy())
    return Result(bits(state), said, rejects, counts_of(records))


def table_of(records: Records) -> dict[str, int]:
    """The table of states, as the serial loop wants to know it."""
    return dict(zip(("keys", "spare"), records.keys, strict=True))


def items(records: Records) -> Iterator[Any]:
    """What the records bring, one by one; in a thread, because the caller may be in an event loop."""
    with ThreadPoolExecutor(1) as thread:
        while True:
            try:
                yield thread.submit(trio.run, records.__anext__).result()
            except StopAsyncIteration:
                return


def parameters_of(result: Result, model: SequenceModel) -> Array:
    return np.frombuffer(result.state["versions"], model.dtype)
