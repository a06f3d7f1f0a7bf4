"""The conformance table of cells: every cell in every configuration trains through the pipeline as in the serial loop.

One row here is one configuration; a new cell in `recurrio.core.cells.table.CELLS` is in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from support.labels import draw_labels
from support.layers import RANKED

from recurrio.core import Adam, CTCLoss, MSELoss, PlateauLR, SequenceBatch, SequenceModel, StepLR
from recurrio.core.cells.table import CELLS
from recurrio.core.optim.schedules import Schedule
from recurrio.core.serial import Step, train
from recurrio.pipeline import Trainer
from recurrio.pipeline.flow.worker_process import obstacle

T, B, I, H, V, COUNT = 6, 5, 4, 8, 7, 9

TOKENS = {"vocabulary_size": V, "embedding_size": I, "hidden_size": H}
FEATURES = {"input_size": I, "hidden_size": H, "output_size": 2, "loss": MSELoss()}

# The options of the model, and whether its batches have lengths and resets of single lanes.
CONFIGURATIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "one layer": (TOKENS, False),
    "two layers": (TOKENS | {"num_layers": 2}, False),
    "widths": (TOKENS | {"num_layers": 2, "hidden_size": (H, 6)}, True),
    "bidirectional": (TOKENS | {"num_layers": 2, "bidirectional": True}, True),
    "dropout": (TOKENS | {"num_layers": 2, "dropout": 0.3}, True),
    "output dropout": (TOKENS | {"output": "mean", "output_dropout": 0.4}, True),
    "all dropout": (
        TOKENS | {"num_layers": 2, "dropout": 0.3, "embedding_dropout": 0.2, "output_dropout": 0.4},
        True,
    ),
    "looked up": (TOKENS | {"vocabulary_size": 40}, True),  # more rows than pay for folding
    "features": (FEATURES | {"num_layers": 2}, False),
    "masked features": (FEATURES | {"bias": False}, True),
    "float64": (TOKENS | {"dtype": "float64"}, False),
    "last": (TOKENS | {"output": "last", "output_size": 3}, True),
    "mean": (FEATURES | {"output": "mean", "bidirectional": True}, True),
    "max": (TOKENS | {"output": "max", "output_size": 3}, True),
    "attention": (TOKENS | {"output": "attention", "output_size": 3, "bidirectional": True}, True),
    "zoneout": (TOKENS | {"num_layers": 2, "zoneout": 0.3}, True),
    "normalised": (TOKENS | {"layer_norm": True, "zoneout": 0.1, "bidirectional": True}, True),
    "projection": (TOKENS | {"num_layers": 2, "proj_size": 3}, True),
    "ctc": (FEATURES | {"output_size": 4, "loss": CTCLoss(), "bidirectional": True}, True),
}
ROWS = [
    (cell, row)
    for row in CONFIGURATIONS
    for cell in CELLS
    if (row != "projection" or CELLS[cell].projects) and (row != "normalised" or CELLS[cell].normalises)
]
IN_PROCESSES = [
    *[(cell, "one layer") for cell in CELLS],
    ("lstm", "bidirectional"),
    ("gru", "dropout"),
    ("lstm", "all dropout"),
    ("lstm", "zoneout"),
    ("rnn_relu", "zoneout"),
    ("gru", "normalised"),
    ("rnn", "masked features"),
    ("gru", "mean"),
    ("gru", "max"),
    ("lstm", "attention"),
    ("lstm", "last"),
    ("gru", "ctc"),
]
SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "StepLR": lambda: StepLR(0.01, 3, 0.5),
    "PlateauLR": lambda: PlateauLR(0.01, 0.5, patience=0),
}


def make_model(cell: str, row: str) -> SequenceModel:
    return SequenceModel(**CONFIGURATIONS[row][0], cell=cell, seed=1)


@cache
def make_batches(row: str) -> list[SequenceBatch]:
    """Batches for the model of `row`: with all steps, lengths, resets of single lanes, or both, in turn.

    What does not exist, because it is beyond the length of a lane, is nonsense.
    """
    rng, network = np.random.default_rng(3), make_model("lstm", row).network
    batches = []
    for number in range(COUNT):
        outputs = network.head.target_steps(T)
        lengths = rng.integers(0, T + 1, B) if CONFIGURATIONS[row][1] and number % 4 in (1, 3) else None
        resets = rng.random((T, B)) < 0.2 if CONFIGURATIONS[row][1] and number % 4 >= 2 else number % 4 == 2
        if network.vocabulary_size is None:
            inputs = rng.standard_normal((T, B, I), np.float32)
            targets: np.ndarray = rng.standard_normal((outputs, B, network.output_size), np.float32)
            nonsense = np.nan
        else:
            inputs = rng.integers(0, network.vocabulary_size, (T, B))
            targets = rng.integers(0, network.output_size, (outputs, B))
            nonsense = -1
        if lengths is not None:
            padding = np.arange(T)[:, None] >= lengths
            inputs[padding] = nonsense
            targets[padding if outputs == T else padding.all(axis=0, keepdims=True)] = nonsense
        if network.loss.by_lane:
            targets = draw_labels(rng, (0, 2, T + 3)[number % 3], B, network.output_size)
        batches.append(SequenceBatch(inputs, targets, resets, lengths))
    return batches


def run_serial(cell: str, row: str, **options: Any) -> tuple[np.ndarray, list[Step]]:  # noqa: ANN401 (train's own)
    model = make_model(cell, row)
    before = model.parameters.copy()
    steps = list(train(model, Adam(0.01), make_batches(row), clip=0.5, **options))
    assert not np.array_equal(model.parameters, before)
    return model.parameters, steps


expected = cache(run_serial)  # the same for all executors


async def run_pipeline(cell: str, row: str, **options: Any) -> tuple[np.ndarray, list[Step]]:  # noqa: ANN401 (Trainer's)
    model, steps = make_model(cell, row), list[Step]()
    trainer = Trainer(model, Adam(0.01), clip=0.5, **options)
    await trainer.run(
        make_batches(row),
        on_report=lambda report: steps.append(Step(report.step, report.version, report.loss, report.grad_norm)),
    )
    return model.parameters, steps


def assert_same_bits(ours: tuple[np.ndarray, list[Step]], theirs: tuple[np.ndarray, list[Step]]) -> None:
    assert ours[1] == theirs[1]
    assert len(ours[1]) == COUNT
    assert ours[0].tobytes() == theirs[0].tobytes()


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize(("shards", "delay"), [(1, 0), (2, 1)])
@pytest.mark.parametrize(("cell", "row"), ROWS)
async def test_same_bits_as_the_serial_loop(cell: str, row: str, shards: int, delay: int, executor: str) -> None:
    ours = await run_pipeline(cell, row, shards=shards, delay=delay, executor=executor)
    assert_same_bits(ours, expected(cell, row, shards=shards, delay=delay))


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize(("cell", "row"), IN_PROCESSES)
async def test_same_bits_in_processes(cell: str, row: str) -> None:
    shards, delay = (1, 0) if row == "one layer" else (2, 1)
    options = {"shards": shards, "delay": delay, "ranks": 2 if cell in RANKED and row != "normalised" else 1, "seed": 5}
    ours = await run_pipeline(cell, row, executor="process", **options)
    assert_same_bits(ours, run_serial(cell, row, **options))


@pytest.mark.parametrize("executor", ["inline", "thread"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("cell", CELLS)
async def test_a_schedule_does_the_same_in_both(cell: str, schedule: str, executor: str) -> None:
    make = SCHEDULES[schedule]  # a new one for each run, because a schedule may remember
    ours = await run_pipeline(cell, "two layers", schedule=make(), delay=1, executor=executor)
    assert_same_bits(ours, run_serial(cell, "two layers", schedule=make(), delay=1))
    constant, _ = expected(cell, "two layers", delay=1)
    assert not np.array_equal(ours[0], constant)


@pytest.mark.parametrize("row", ["dropout", "output dropout", "zoneout"])
@pytest.mark.parametrize("cell", CELLS)
async def test_dropout_is_a_function_of_the_seed(cell: str, row: str) -> None:
    options = {"shards": 2, "delay": 1}
    runs = [await run_pipeline(cell, row, seed=seed, executor="inline", **options) for seed in (0, 7)]
    assert_same_bits(runs[0], expected(cell, row, **options))
    assert_same_bits(runs[1], run_serial(cell, row, seed=7, **options))
    assert not np.array_equal(runs[0][0], runs[1][0])


async def test_the_seed_is_that_of_the_dropout_alone() -> None:
    runs = [await run_pipeline("lstm", "two layers", seed=seed, executor="inline") for seed in (0, 7)]
    assert_same_bits(*runs)


@pytest.mark.parametrize("row", [row for row, (_, masked) in CONFIGURATIONS.items() if masked])
def test_lengths_and_resets_change_the_weights(row: str) -> None:
    cell, network = "lstm", make_model("lstm", row).network
    parameters, _ = expected(cell, row)
    fill = 0 if network.vocabulary_size is not None else 0.0
    plain = []
    for batch in make_batches(row):
        inputs, targets = (np.where(np.isnan(a) | (a == -1), fill, a).astype(a.dtype) for a in batch[:2])
        plain.append(batch._replace(inputs=inputs, targets=batch.targets if network.loss.by_lane else targets))
    for name, without in (("lengths", None), ("reset", False)):
        model = make_model(cell, row)
        list(train(model, Adam(0.01), [batch._replace(**{name: without}) for batch in plain], clip=0.5))
        assert not np.array_equal(model.parameters, parameters), name


@pytest.mark.parametrize("cell", CELLS)
async def test_many_shards_in_double_precision(cell: str) -> None:
    # Losses of float32 add up exactly, in any order and by any rule; those of float64 do not.
    ours = await run_pipeline(cell, "float64", shards=B, delay=2, executor="inline")
    assert_same_bits(ours, expected(cell, "float64", shards=B, delay=2))
