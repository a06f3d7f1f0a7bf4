"""The memory of a run: the formula of docs/memory.md, and how many workspaces there are."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from recurrio.core import Adam, CrossEntropyLoss, SequenceBatch, SequenceModel
from recurrio.core.base import compiled
from recurrio.core.cells.buffers import CACHE_BYTES
from recurrio.core.model.workspace import Workspace
from recurrio.pipeline import Trainer
from recurrio.pipeline.plan import plan

V = 16
# docs/memory.md: units of H held for each step of a lane; for each step of a sweep; and what a sweep step touches.
HELD = {"rnn": (4, 3, 4), "lstm": (13, 7, 16), "gru": (11, 7, 14), "gru_reset_before": (10, 6, 12)}
OBJECTS = {"rnn": 1200, "lstm": 3600, "gru": 3100, "gru_reset_before": 4200}  # bytes a step
if compiled.KERNELS:
    HELD["lstm"] = (13, 0, 16)
    OBJECTS = {"rnn": 2100, "lstm": 5800, "gru": 5200, "gru_reset_before": 6800}
SIZES = [
    ("lstm", 32, 8, {"input_size": 16, "hidden_size": 64}, {}),
    ("gru", 64, 32, {"input_size": 32, "hidden_size": 128}, {"shards": 2, "delay": 1}),
    ("gru_reset_before", 64, 32, {"input_size": 32, "hidden_size": 128}, {"shards": 2, "delay": 1}),
    ("rnn", 64, 16, {"input_size": 64, "hidden_size": 256, "num_layers": 2}, {"delay": 3, "shards": 4}),
]


def formula(cell: str, T: int, B: int, size: dict[str, int], shards: int = 1, delay: int = 0) -> float:
    """Bytes, by docs/memory.md, with Adam and float32; 16 processors. The batches on their way are among them."""
    I, H, layers = size["input_size"], size["hidden_size"], size.get("num_layers", 1)
    held, swept, touched = HELD[cell]
    gates = {"rnn": 1, "lstm": 4}.get(cell, 3)
    copies = min(delay + 1, 3)
    parameters, workspace = V * (H + 1), 4 * V * T * B / shards
    for layer in range(layers):
        matrix = gates * H * (I + 2 + H)
        sweep = min(T, CACHE_BYTES // (touched * H * (B // shards) * 4))
        workspace += 4 * (B / shards) * (T * (I + 3 + held * H + (H if layer else 0)) + sweep * swept * H)
        workspace += 4 * (3 * matrix + gates * H * H) + OBJECTS[cell] * T
        parameters, I = parameters + matrix, H
    batches = (min(copies + 1, 3) + 1) * T * B * (4 * size["input_size"] + 8)  # of channels without room
    return 4 * parameters * (1 + delay + 2 + shards * copies + 1 + 5) + shards * copies * workspace + batches + 72_000


@pytest.mark.parametrize(("cell", "T", "B", "size", "options"), SIZES)
async def test_memory_is_that_of_the_formula(
    cell: str, T: int, B: int, size: dict[str, int], options: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "processors", lambda: 16)
    rng = np.random.default_rng(0)
    batch = SequenceBatch(rng.standard_normal((T, B, size["input_size"]), np.float32), rng.integers(0, V, (T, B)))

    async def run() -> None:
        model = SequenceModel(**size, output_size=V, loss=CrossEntropyLoss(), cell=cell)
        await Trainer(model, Adam(0.01), clip=1.0, executor="inline", ranks=1, **options).run([batch] * 8)

    await run()  # what is made once in a process is not a run's
    tracemalloc.start()
    await run()
    measured = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0.9 < measured / formula(cell, T, B, size, **options) < 1.1


@pytest.mark.parametrize(
    ("shards", "delay", "processors", "each"), [(1, 0, 2, 1), (1, 1, 2, 2), (2, 3, 1, 2), (2, 3, 16, 3)]
)
async def test_there_are_no_more_workspaces_than_the_formula_says(
    shards: int, delay: int, processors: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = 0, Workspace.__init__

    def counted(self: Workspace, *arguments: Any) -> None:  # noqa: ANN401
        nonlocal made
        made += 1
        make(self, *arguments)

    monkeypatch.setattr(plan, "processors", lambda: processors)
    monkeypatch.setattr(Workspace, "__init__", counted)
    tokens = np.zeros((3, 4), np.int32)
    trainer = Trainer(SequenceModel(5, hidden_size=4), Adam(0.01), shards=shards, delay=delay, executor="inline")
    await trainer.run([SequenceBatch(tokens, tokens)] * 30)
    assert made == shards * each
