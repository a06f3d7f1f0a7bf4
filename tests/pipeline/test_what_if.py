"""What would be forecast of records if they came next: what is forecast of them when they do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import trio
import trio.testing
from support.streams import make_data

from recurrio.core import Adam
from recurrio.core.base.checks import ArgumentError
from recurrio.pipeline import Forecast, Records, Trainer
from recurrio.pipeline.lanes.asking import Asking
from recurrio.pipeline.lanes.record_lanes import LARGEST, RecordLanes

GIVEN: dict[str, Any] = {"key": "k", "features": "x,c:category", "target": "x@+2", "seq_len": 4, "batch_size": 6}
PLANS: dict[str, dict[str, Any]] = {
    "ahead": {},
    "per key": {"per_key": True},
    "time": {"time": "t"},
    "one stream": {"key": None},
    "bounds": {"interval": 0.8},
    "bounds of each key": {"interval": 0.8, "per_key": True, "time": "t"},
    "season": {"season": 7},
    "same record": {"features": "c:category", "target": "x"},
    "label": {"target": (), "label": "c", "features": "x"},
    "several": {"target": "x@+1,y@+3", "features": "x"},
    "few keys": {"max_keys": 3},
    "later": {"target": "z", "id": "id", "time": "t"},
    "a label later": {"target": (), "label": "w", "id": "id", "per_key": True},
}


def rows_for(plan: dict[str, Any], count: int = 180) -> list[dict[str, Any]]:
    """Records with all fields; where labels come later, each comes behind two more records, in one of its own."""
    found, time = list[dict[str, Any]](), 0.0
    for number, row in enumerate(make_data(count, 5)):
        time += 0.5 + number % 7
        found.append(row | ({"t": time, "id": f"r{number}"} if "id" in plan else {"t": time}))
        if "id" in plan and number >= 2:
            answer = {"w": "ab"[number % 2]} if plan.get("label") else {"z": float(number % 5)}
            found.append({"id": f"r{number - 2}"} | answer)
    return found


def bits(forecast: Forecast, place: int) -> tuple[Any, ...]:
    bounds = None if forecast.bounds is None else forecast.bounds[place].tolist()
    return forecast.version, forecast.values[place].tobytes(), bounds


class Asked:
    """A run of records, before each of which it is asked what would be said of it, and of those behind it."""

    def __init__(self, plan: dict[str, Any], look: int = 1, **more: Any) -> None:  # noqa: ANN401 (those of Records)
        self.rows, self.look = rows_for(plan), look
        self.said = list[tuple[Any, ...]]()
        self.asked = dict[int, list[tuple[Any, ...]]]()
        self.new = set[int]()  # records with a category that is new
        self.records = Records(self.come(), on_forecasts=self.listen, **GIVEN | plan, **more)
        self.trainer = Trainer(self.records.model(hidden_size=5, seed=1), Adam(0.01), clip=1.0, executor="inline")

    def listen(self, forecast: Forecast) -> None:
        self.said += [bits(forecast, place) for place in range(len(forecast.values))]

    async def come(self) -> AsyncIterator[dict[str, Any]]:
        seen = set[str]()
        for at, row in enumerate(self.rows):
            if "x" in row:
                number = len(self.said)
                if row["c"] not in seen:
                    self.new.add(number)
                seen.add(row["c"])
                if self.look and at:
                    ahead = [other for other in self.rows[at:] if "x" in other][: self.look]
                    forecast, block = self.records.suppose(ahead, *self.trainer.latest())
                    assert (forecast.number, block.size, block.rejects) == (number, len(ahead), [])
                    self.asked[number] = [bits(forecast, place) for place in range(block.size)]
            yield row

    async def run(self) -> Asked:
        await self.trainer.run(self.records)
        assert self.trainer.step > 10
        return self


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
async def test_it_is_what_is_said_when_the_record_comes(plan: dict[str, Any]) -> None:
    """To the bit; but of a value of a category that is new, and where a key that has to go makes a batch first.

    Bounds are nearly those, as what comes true with a record moves them before they are said of it.
    """
    run = await Asked(plan).run()
    new = run.new if run.records.plan.schema.categories else set[int]()
    compared = bounded = 0
    for number, found in run.asked.items():
        (version, values, bounds), said = found[0], run.said[number]
        if number not in new and version == said[0]:
            assert values == said[1], number
            compared += 1
            if bounds is not None and not np.isnan(bounds).any():
                assert said[2] is not None
                np.testing.assert_allclose(bounds, said[2], atol=0.5 * np.ptp(said[2]))
                bounded += 1
    assert compared > (25 if "max_keys" in plan else 140)
    assert (bounded > 90) == ("interval" in plan)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
async def test_nothing_of_it_stays(plan: dict[str, Any]) -> None:
    """A run that is asked has the bits of one that is not, state and forecasts."""
    asked, other = await Asked(plan, look=5).run(), await Asked(plan, look=0).run()
    assert repr(asked.said) == repr(other.said)
    for mine, theirs in (
        (asked.trainer.state.dump(), other.trainer.state.dump()),
        (asked.records.dump(), other.records.dump()),
    ):
        assert mine.about == theirs.about
        assert {name: array.tobytes() for name, array in mine.arrays.items()} == {
            name: array.tobytes() for name, array in theirs.arrays.items()
        }


async def test_records_of_one_key_follow_one_another() -> None:
    """As long as nothing is learned meanwhile, of several all are what is said when they come."""
    run = await Asked({"features": "x"}, look=3).run()
    same = 0
    for number, found in run.asked.items():
        own = run.said[number : number + len(found)]
        if len({version for version, *_ in own}) == 1:
            same += found == own
    assert same > 50


async def test_what_cannot_be_asked() -> None:
    run = await Asked({"time": "t"}).run()
    forecast, block = run.records.suppose(
        [{"k": "new", "x": 1.0, "c": "a", "t": 1e4}, {"k": "b", "x": 2}], *run.trainer.latest()
    )
    assert len(forecast.values) == 1
    assert [reject.line for reject in block.rejects] == [2]
    with pytest.raises(ArgumentError, match="256"):
        run.records.suppose([{"k": f"n{i}", "x": 1.0, "c": "a", "t": 1e4} for i in range(300)], *run.trainer.latest())
    blind = Records([{"x": 1.0}] * 9, features="x", target="x@+1", forecasts=False)
    await Trainer(blind.model(hidden_size=3), Adam(0.01)).run(blind)
    with pytest.raises(ArgumentError, match="forecasts"):
        blind.suppose([{"x": 1.0}], 0, run.trainer.model.parameters)


class Lanes:
    """As much of `RecordLanes` as is asked."""

    most, number = LARGEST, 0


async def test_pieces_are_short_where_answers_are_wanted_soon(autojump_clock: trio.testing.MockClock) -> None:
    lanes, said = Lanes(), list[int]()
    soon = False
    asking = Asking(cast(RecordLanes, lanes), lambda: soon)

    async def pieces(count: int, speed: float) -> None:
        """So many of what is taken at once, at so many records a second."""
        for _ in range(count):
            await trio.sleep(lanes.most / speed)
            lanes.number += lanes.most
            asking.load()  # they have been forecast
            asking.answer()

    await pieces(3, 100_000.0)
    assert lanes.most == LARGEST
    soon = True
    for speed, most in ((100_000.0, 4200), (4000.0, 168), (1000.0, 64)):
        for number in range(12):
            asking.ask(partial(said.append, number), rests=False)
            await pieces(1, speed)
        assert lanes.most == pytest.approx(most, abs=1)
    assert said == [*range(12)] * 3
    await trio.sleep(10)  # nothing comes, which says nothing of the speed
    asking.answer()
    asking.ask(said.clear, rests=True)
    await pieces(8, 100_000.0)
    assert lanes.most == pytest.approx(4200, abs=1)
    soon = False
    await pieces(1, 100_000.0)
    assert lanes.most == LARGEST
    Asking(cast(RecordLanes, lanes), lambda: True)  # its first pieces too
    assert lanes.most == 512
