"""Each field of a checkpoint is needed: a run that goes on without one, or with zeros in its place, is noticed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trio
from support.states import differing
from support.streams import as_jsonl, make_data

from recurrio.core import Adam
from recurrio.core.base.state import Part
from recurrio.pipeline import SourceError, Trainer, open_records
from recurrio.pipeline.checkpoint import CheckpointError, Checkpoints, CheckpointStore
from recurrio.pipeline.checkpoint.file import read_checkpoint, write_checkpoint

DATA = [{**record, "t": 1.7e9 + 600 * number} for number, record in enumerate(make_data(700, 9, broken=9))]
GIVEN: dict[str, Any] = {"features": "x,y,c:category", "target": "x@+1", "key": "k", "seq_len": 3, "batch_size": 4}
GIVEN |= {"time": "t", "replay": 2, "interval": 0.8, "alarm": 0.9}


async def train(path: Path, folder: Path, steps: int | None = None) -> tuple[Part, Part | None]:
    """Train on, and give the last state, and the one that it went on from, as it was taken up."""
    async with open_records(path, **GIVEN, max_keys=8, patience=50) as records:
        trainer = Trainer(records.model(hidden_size=3, seed=1), Adam(0.01), clip=1.0, executor="inline", delay=1)
        checkpoints = Checkpoints(folder, every=None)
        begun = None
        if trainer.resume(checkpoints, records) is not None:
            begun = Part.of(training=trainer.state.dump(), source=records.dump())
        await trainer.run(records, steps=steps and steps - trainer.step, checkpoints=checkpoints)
    found = CheckpointStore(folder).newest()
    assert found is not None
    return found.part, begun


def leaves(value: Any, name: tuple[str, ...] = ()) -> list[tuple[str, ...]]:  # noqa: ANN401
    found = [name] if name else []
    if isinstance(value, dict):
        for key in value:
            found += leaves(value[key], (*name, key))
    return found


def without(part: Part, name: tuple[str, ...]) -> Part:
    about = copy.deepcopy(part.about)
    place = about
    for key in name[:-1]:
        place = place[key]
    del place[name[-1]]
    return Part(part.arrays, about)


FREE = ("settings", "outputs", "model", "fingerprint")  # what is in them is of other runs; tests of the command have it


def mutations(part: Part) -> dict[str, Callable[[], Part]]:
    """The ways to drop one field."""
    found: dict[str, Callable[[], Part]] = {}
    for name in part.arrays:
        found[f"array {name}"] = lambda name=name: Part(  # type: ignore[misc]
            {other: array for other, array in part.arrays.items() if other != name}, part.about
        )
        if part.arrays[name].any():
            found[f"zeros {name}"] = lambda name=name: Part(  # type: ignore[misc]
                {**part.arrays, name: np.zeros_like(part.arrays[name])}, part.about
            )
    for leaf in leaves(part.about):
        if leaf[0] not in FREE or len(leaf) == 1:
            found[f"about {'.'.join(leaf)}"] = lambda leaf=leaf: without(part, leaf)  # type: ignore[misc]
    return found


# What only shows where a run ends, or cuts what waits, before another record has come: as the state that it is.
AT_ONCE = {
    *(f"zeros source.{part}.learned.{scale}" for part in ("lanes.taker", "ledger") for scale in ("mean", "deviation")),
    "zeros source.reception.watch.values",  # from which warnings are made
}


async def test_each_field_that_is_dropped_is_noticed(tmp_path: Path) -> None:
    """By an error, or by what comes of the run; of a few checkpoints, as not each has something of everything."""
    path = tmp_path / "records.jsonl"
    await trio.Path(path).write_bytes(as_jsonl(DATA))
    expected, _ = await train(path, tmp_path / "whole")
    tried, noticed = set[str](), set[str]()
    for steps in (30, 47, 61, 80, 101):
        folder = tmp_path / f"parts {steps}"
        await train(path, folder, steps)
        store = CheckpointStore(folder)
        step = store.steps()[-1]
        clean = read_checkpoint(store.path(step))
        for name, mutate in [*mutations(clean).items(), ("", lambda clean=clean: clean)]:
            if name in noticed:
                continue
            for other in store.steps():
                store.path(other).unlink()
            write_checkpoint(store.path(step), mutate())
            tried.add(name)
            try:
                found, begun = await train(path, folder)
            except (CheckpointError, SourceError):
                noticed.add(name)
                continue
            except Exception:  # somebody has signed what does not fit together
                assert name.startswith("zeros ")
                noticed.add(name)
                continue
            assert begun is not None
            if differing(found, expected) or (name in AT_ONCE and _differing_at_first(begun, clean)):
                noticed.add(name)
    assert len(tried) > 100
    assert tried - noticed == {""}


def _differing_at_first(begun: Part, clean: Part) -> list[str]:
    return differing(begun, Part.of(training=clean.part("training"), source=clean.part("source")))
