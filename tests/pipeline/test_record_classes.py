"""The scores of classes in a run: of the model's own probabilities, whenever the labels come, and however often cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.late import GIVEN, Items
from support.states import differing
from support.streams import as_jsonl

from recurrio.core import Adam
from recurrio.core.base.parameters import Array
from recurrio.core.base.state import Part
from recurrio.core.model.forecaster import Forecaster
from recurrio.pipeline import Records, Trainer, open_records
from recurrio.pipeline.checkpoint import Checkpoints, CheckpointStore

AT_ONCE = {name: value for name, value in GIVEN.items() if name != "id"}


def make(count: int, delay: int | None) -> tuple[Items, list[str]]:
    """Records, with their labels or with those of `delay` records before, and the labels; new classes come and come."""
    rng = np.random.default_rng(3)
    items: Items = []
    labels = [f"class {rng.integers(0, 2 + n // 12)}" for n in range(count)]
    for n in range(count):
        items.append({"n": n, "k": f"key {rng.integers(7)}", "x": round(float(rng.standard_normal()), 3)})
        if delay is None:
            items[-1]["y"] = labels[n]
        elif n >= delay:
            items.append({"n": n - delay, "y": labels[n - delay]})
    return items, labels[: count - (delay or 0)]


async def report_of(records: Records) -> dict[str, Any]:
    await Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), executor="inline").run(records)
    return records.report()["metrics"]


@pytest.mark.parametrize("delay", [None, 1, 25])
async def test_losses_are_those_of_the_models_probabilities(delay: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    outputs: list[Array] = []
    forecast = Forecaster.forecast

    def noted(forecaster: Forecaster, parameters: Array, inputs: Array, rows: Array) -> Array:
        found = forecast(forecaster, parameters, inputs, rows)
        outputs.append(found.astype(np.float64))
        return found

    monkeypatch.setattr(Forecaster, "forecast", noted)
    items, labels = make(600, delay)
    metrics = await report_of(Records(items, **(AT_ONCE if delay is None else GIVEN)))
    lines, losses, right = np.concatenate(outputs), list[float](), 0
    for n, label in enumerate(labels):
        # What was known when the record came: the classes of the labels before it.
        names = [*dict.fromkeys(labels[: max(0, n - (delay or 0))])]
        if names:
            logs = lines[n, : len(names)] - np.log(np.exp(lines[n, : len(names)]).sum())
            losses.append(-logs[names.index(label)] if label in names else -np.log(1e-15))
            right += names[int(logs.argmax())] == label
    assert len({*labels}) > 40
    assert metrics["all"]["count"] == metrics["window"]["count"] == len(losses)
    assert metrics["all"]["log_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert metrics["all"]["accuracy"] == right / len(losses)
    weights = 0.999 ** np.arange(len(losses))[::-1]
    assert metrics["faded"]["log_loss"] == pytest.approx(np.average(losses, weights=weights), rel=1e-12)


@pytest.mark.parametrize("delay", [None, 25])
async def test_blocks_are_cut_anyhow(delay: int | None) -> None:
    items, _ = make(600, delay)

    def cut(size: int) -> Iterator[Items]:
        for start in range(0, len(items), size):
            yield items[start : start + size]

    given = AT_ONCE if delay is None else GIVEN
    found = [await report_of(Records(cut(size), **given)) for size in (1, 13, 10_000)]
    assert found[0] == found[1] == found[2]
    assert {*found[0]} == {"all", "window", "faded"}


@pytest.mark.parametrize("delay", [None, 25])
async def test_a_run_goes_on_with_its_scores(delay: int | None, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(as_jsonl(make(600, delay)[0]))

    async def run(folder: Path, steps: int | None) -> tuple[Part, dict[str, Any]]:
        async with open_records(path, **(AT_ONCE if delay is None else GIVEN)) as records:
            trainer = Trainer(records.model(hidden_size=5, seed=1), Adam(0.01), executor="inline")
            checkpoints = Checkpoints(folder, every=7)
            trainer.resume(checkpoints, records)
            await trainer.run(records, steps=steps and steps - trainer.step, checkpoints=checkpoints)
            found = CheckpointStore(folder).newest()
            assert found is not None
            return found.part, records.report()["metrics"]

    expected, metrics = await run(tmp_path / "whole", None)
    assert expected.about["step"] > 30
    for steps in (1, 9, 20, None):
        found, others = await run(tmp_path / "parts", steps)
    assert differing(found, expected) == []
    assert others == metrics
