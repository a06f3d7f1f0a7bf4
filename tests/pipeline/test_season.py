"""What was a season ago: against plain lists, and however the records are divided; skill is over the best way."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.live_records import run

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.base.state import Part
from recurrio.pipeline import Records
from recurrio.pipeline.lanes import season as of_season
from recurrio.pipeline.lanes.rings import KeyOrder
from recurrio.pipeline.lanes.season import Season

KEYS, NAN = 5, math.nan


def plain(past: list[tuple[float, list[float]]], last: float, j: int, h: int, season: float) -> tuple[float, float]:
    """The two forecasts of the target `j` at the last record of `past`."""
    at = len(past) - 1
    end, steps = (at, h) if h else (at - 1, 1)
    if isinstance(season, int):
        ago, then = at - season, end + steps - season
        while then > end:
            then -= season
    else:
        ago = max([k for k in range(at) if past[k][0] <= past[at][0] - season], default=-1)
        then = min(ago + h, end)
    if ago < 0:
        return last, last

    def value(k: int) -> float:
        return past[k][1][j] if k >= 0 else NAN

    drift = last + steps * ((value(end) - value(end - (at - ago))) / (at - ago))
    found = value(then), drift
    return tuple(last if math.isnan(each) else each for each in found)  # type: ignore[return-value]


@pytest.mark.parametrize("season", [1, 4, 30, 3.0, 25.5])
@pytest.mark.parametrize("horizons", [[1], [0], [3, 1], [0, 9]], ids=str)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_it_is_what_a_list_says(season: float, horizons: list[int], seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    rows, values = rng.integers(0, KEYS, 200), rng.standard_normal((200, len(horizons)))
    times, last = np.cumsum(rng.random(200)), rng.standard_normal((200, len(horizons)))
    values[:20], last[rng.random(200) < 0.1] = NAN, NAN
    past: list[list[tuple[float, list[float]]]] = [[] for _ in range(KEYS)]
    expected = []
    for row, time, value, before in zip(rows.tolist(), times.tolist(), values.tolist(), last.tolist(), strict=True):
        past[row].append((time, value))
        expected.append([plain(past[row], before[j], j, h, season) for j, h in enumerate(horizons)])
    ours, count, found = Season(horizons, season), np.zeros(KEYS, np.int64), []
    for start, stop in pairwise([0, *sorted(cuts), 200]):
        if stop > start:
            part = slice(start, stop)
            order = KeyOrder(rows[part], count)
            naive = ours.naive(order, times[part][order.index], values[part][order.index], last[part][order.index])
            found.append(order.by_arrival(naive))
            count[order.keys] += order.sizes
        again = Season(horizons, season)
        again.load(Part({"season": ours.dump(KEYS)}, {}), "season", KEYS)
        ours = again
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1e-12)


def test_more_than_is_kept_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_season, "KEPT", 10)
    ours, count = Season([1], 12.0), np.zeros(1, np.int64)
    for n in range(40):
        order = KeyOrder(np.zeros(1, np.int64), count)
        values: Array = np.array([[float(n)]])
        assert ours.naive(order, np.array([float(n)]), values, values).tolist() == [[[n, n]]]
        count += 1


async def test_skill_is_over_the_best_of_them() -> None:
    rows: list[dict[str, Any]] = [
        {"t": 1.7e9 + 3600 * n, "x": round(math.sin(n * math.pi / 12) * 10 + (n * 7919 % 13) / 13, 3)}
        for n in range(900)
    ]
    for season in (24, 86_400.0):
        done = await run(rows, key=None, time="t", season=season)
        ways = done.report["metrics"]["all"]["naive"]
        assert list(ways) == ["last", "season", "drift"]
        assert ways["season"]["mae"] < ways["last"]["mae"] < ways["drift"]["mae"] * 1.2
        metrics = done.report["metrics"]["all"]
        assert metrics["naive_mae"] == ways["season"]["mae"]
        assert metrics["skill"] == 1 - metrics["mae"] / ways["season"]["mae"]


@pytest.mark.parametrize(
    "given",
    [
        {"season": 0},
        {"season": -1.0, "time": "t"},
        {"season": 10.0},
        {"season": 3, "id": "n", "target": "y"},
        {"season": 3, "target": (), "label": "y"},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match="season: expected"):
        Records([], **{"features": "x", "target": "x@+1", **given})
