"""`check_leaks` in a program: the records of an iterable, and a training of one's own."""

from __future__ import annotations

from typing import Any

import pytest
from support.streams import make_data

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Records, Trainer
from recurrio.pipeline.lanes.record_plan import RecordPlan
from recurrio.pipeline.sources import SourceError
from recurrio.pipeline.training.leaks import check_leaks, reach

GIVEN: dict[str, Any] = {"key": "k", "features": "x,c:category", "target": "x@+2", "seq_len": 4, "batch_size": 6}


async def train(records: Records) -> None:
    trainer = Trainer(records.model(hidden_size=4, seed=1), Adam(0.01), clip=1.0, executor="inline")
    await trainer.run(records)


async def test_what_is_trained_in_a_program_can_be_checked() -> None:
    rows = make_data(400, 5, broken=9)
    checked = await check_leaks(Records(rows, **GIVEN), train, places=9, seed=3)
    assert checked.leaks == []
    assert checked.records == 400
    assert len(checked.places) == 9


async def test_a_training_that_is_not_the_same_again_is_found() -> None:
    """From the start, as soon as weights have learned something."""
    rate = 0.01

    async def again(records: Records) -> None:
        nonlocal rate
        rate *= 1 + 1e-7
        await Trainer(records.model(hidden_size=4, seed=1), Adam(rate), executor="inline").run(records)

    checked = await check_leaks(Records(make_data(300, 2), **GIVEN), again, places=4)
    assert [leak.place for leak in checked.leaks] == checked.places
    assert max(leak.record for leak in checked.leaks) < 20


@pytest.mark.parametrize("rows", [[], make_data(31, 2)])
async def test_there_have_to_be_some_records(rows: list[dict[str, Any]]) -> None:
    with pytest.raises((SourceError, ArgumentError), match="records"):
        await check_leaks(Records(rows, **GIVEN), train)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 256 + 5 * (2 + 4) + 5 * 4),
        ({"batch_size": 3}, 256 + 5 * (2 + 4) + 3 * 4),
        ({"seq_len": None, "replay": 2}, 256 + 5 * (2 + 32) + 5 * 32),
        ({"key": None}, 256 + (2 + 4) + 4),
        ({"target": "y", "id": "n"}, 100),
    ],
)
async def test_it_goes_on_for_as_long_as_a_leak_can_reach(given: dict[str, Any], expected: int) -> None:
    rows = [{"k": n % 5, "x": n, "y": n, "c": "a", "n": n} for n in range(100)]
    records = Records(rows, **GIVEN | given)
    assert reach(RecordPlan(**GIVEN | given), await records.receive_all()) == expected
