"""Bounds: against a plain loop a truth, however the records are divided; they hold what was asked for."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.bounds import MOST, RATE, WARM, Bounds

KEYS, NAN = 9, math.nan


class Plain:
    """One record, and one truth, after the other; a single target, all keys together or each by itself."""

    def __init__(self, interval: float, keys: int, alarm: float) -> None:
        self.asked = ((1 - interval) / 2, (1 - interval) / 2, 1 - alarm)
        self.keys, self.alarm = keys, alarm
        self.table = {keys: [1.0, 1.0, 2.0, 1.0]}  # factors below, above and of alarms; the mean error
        self.since: dict[int, list[tuple[list[bool], float]]] = {}
        self.known = self.told = self.events = self.seen = 0
        self.due = 1

    def set(self, row: int, forecast: float, said: list[float], scale: float) -> list[float]:
        own = self.keys
        if self.keys:
            own = row if row >= 0 else ~row
            if row < 0:
                self.table[own] = [*self.table[self.keys]]
        self.seen += row < 0
        low, high, _, size = self.table[own]
        if self.known < WARM:
            return [NAN, NAN]
        least = 0.1 * size * scale
        return [
            forecast - max(forecast - said[0], least) * low,
            forecast + max(said[1] - forecast, least) * high,
        ]

    def judge(self, row: int, said: list[float], truth: float) -> tuple[float, bool]:
        forecast, low, high, scale = said
        error, anomaly, alarm = truth - forecast, 0.0, False
        if not math.isnan(error) and scale > 0:
            self.told += 1
            if not math.isnan(low):
                room = forecast - low if error < 0 else high - forecast
                if not low <= truth <= high:
                    anomaly = min(abs(error) / room if room else math.inf, 1e6)
                for own in {row if self.keys else self.keys, self.keys}:
                    far = anomaly > self.table[own][2]
                    if own == (row if self.keys else self.keys):
                        alarm = far and self.known * (1 - self.alarm) >= 1
                    missed = [truth < low, truth > high, anomaly > self.table[row if self.keys else self.keys][2]]
                    self.since.setdefault(own, []).append((missed, min(abs(error) / scale, 10.0)))
        self.events += 1
        if self.events == self.due:
            for own, some in self.since.items():
                entry = self.table[own]
                for part in range(3):
                    share = sum(missed[part] for missed, _ in some) / len(some)
                    entry[part] *= float(np.exp(RATE * (share - self.asked[part])))
                entry[2] = max(entry[2], 1.0)
                total = 0.0
                for _, size in some:
                    total += size
                entry[3] += (1 - 0.99) * (total / len(some) - entry[3])
            self.since.clear()
            self.known, self.due = self.told, self.events + min(MOST, max(1, self.seen // 2))
        return anomaly, alarm


def stream(n: int, seed: int) -> tuple[Array, ...]:
    """Rows, what a model says of each record (a forecast and its bounds), scales, and the truth of the one before."""
    rng = np.random.default_rng(seed)
    rows = np.minimum(rng.zipf(1.5, n) - 1, KEYS - 1)
    first = np.zeros(n, bool)
    first[np.unique(rows, return_index=True)[1]] = True
    forecasts, scale = rng.standard_normal(n), np.exp(rng.standard_normal(n))
    said = forecasts[:, None] + scale[:, None] * np.array([-0.5, 0.5]) * rng.random((n, 1))
    scale[rng.random(n) < 0.02] = 0.0
    truths = np.where(first, NAN, rng.standard_normal(n) * np.where(np.arange(n) < n // 2, 1, 4))
    truths[rng.random(n) < 0.1] = NAN
    return np.where(first, ~rows, rows), forecasts, said, scale, truths


def by_pieces(bounds: Bounds, data: tuple[Array, ...], cuts: list[int], reload: int = -1) -> list[Array]:
    """As a run does it; what is said of a record is about the next one of its key."""
    rows, forecasts, said, scale, truths = data
    own, n = np.where(rows < 0, ~rows, rows), len(rows)
    told = np.full((KEYS, 4), NAN)
    found = [np.empty((n, 2)), np.empty(n), np.empty(n, bool)]
    for start, stop in pairwise([0, *cuts, n]):
        if start == reload:
            again = Bounds(bounds.interval, 1, bounds.keys, alarm=bounds.alarm)
            again.load(bounds.dump(KEYS), KEYS)
            bounds = again
        part, done, before = slice(start, stop), start, np.full((stop - start, 4), NAN)
        for begin, end, first, last in bounds.stretches(np.arange(stop - start), rows[part] < 0):
            begin, end, first, last = (start + place for place in (begin, end, first, last))
            some = slice(begin, end)
            found[0][some] = bounds.set(rows[some], forecasts[some, None], said[some, :, None], scale[some, None])[
                ..., 0
            ]
            for at in range(first, last):
                while done < at:  # a truth comes before what is said of its record
                    told[own[done]] = forecasts[done], *found[0][done], scale[done]
                    done += 1
                before[at - start] = told[own[at]]
            some = slice(first, last)
            judged = bounds.judge(own[some], before[first - start : last - start, None], truths[some, None])
            found[1][some], found[2][some] = judged.anomaly[:, 0], judged.alarm[:, 0]
        for at in range(done, stop):
            told[own[at]] = forecasts[at], *found[0][at], scale[at]
    return found


@pytest.mark.parametrize("keys", [0, KEYS])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(0, 400), max_size=12))
def test_they_are_those_of_a_plain_loop(keys: int, seed: int, cuts: list[int]) -> None:
    data = stream(400, seed)
    rows, forecasts, said, scale, truths = data
    plain, told = Plain(0.8, keys, 0.9), {}
    bounds, judged = [], []
    for at, (row, forecast, both, unit, truth) in enumerate(
        zip(rows.tolist(), forecasts.tolist(), said.tolist(), scale.tolist(), truths.tolist(), strict=True)
    ):
        own = row if row >= 0 else ~row
        judged.append(plain.judge(own, told.get(own, [NAN] * 4), truth))
        bounds.append(plain.set(row, forecast, both, unit))
        told[own] = [forecast, *bounds[at], unit]
    for reload in (-1, sorted(cuts)[len(cuts) // 2] if cuts else -1):
        found = by_pieces(Bounds(0.8, 1, keys, alarm=0.9), data, sorted(cuts), reload)
        np.testing.assert_array_equal(found[0], bounds)
        np.testing.assert_array_equal(found[1], [anomaly for anomaly, _ in judged])
        assert found[2].tolist() == [alarm for _, alarm in judged]
    assert any(alarm for _, alarm in judged)


def kinds(n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Errors of a forecast, with a median of 0 in the long run."""
    noise, at = rng.standard_normal(n), np.arange(n)
    return {
        "normal": noise,
        "heavy tails": rng.standard_t(2, n),
        "skewed": np.exp(noise) - 1,
        "ten times as large for a while": noise * np.where((at // 1500) % 2, 10.0, 1.0),
        "growing": noise * np.exp(at / n * 3),
        "to and fro": noise + np.sin(at / 50) * 5,
    }


HALVES = {"knows nothing": 0.0, "is far too sure": 0.01, "is far too careful": 20.0}


@pytest.mark.parametrize("interval", [0.5, 0.9, 0.98])
def test_as_many_are_within_as_was_asked_for(interval: float) -> None:
    n, errors = 6000, kinds(6000, np.random.default_rng(1))
    truths = np.repeat(np.stack([*errors.values()], axis=1), len(HALVES), axis=1)
    half = np.tile([*HALVES.values()], len(errors))
    bounds, found = Bounds(interval, len(half)), np.full((n, 2, len(half)), NAN)
    row, zeros, ones = np.zeros(1, np.int64), np.zeros((1, len(half))), np.ones((1, len(half)))
    for at in range(n - 1):
        for start, stop, first, last in bounds.stretches(row, row < 0):
            if stop > start:
                found[at + 1] = bounds.set(row, zeros, np.stack((zeros - half, zeros + half), axis=1), ones)[0]
            if last > first:
                said = np.stack((zeros, found[at, None, 0], found[at, None, 1], ones), axis=2)
                bounds.judge(row, said, truths[at, None])
    assert np.isnan(found[:WARM]).all()
    assert np.isfinite(found[WARM:]).all()
    missed = (truths < found[:, 0]) | (truths > found[:, 1])
    settled = missed[1500:]
    assert np.abs(settled.mean(axis=0) - (1 - interval)).max() < 0.02
    worst = [np.convolve(line, np.ones(500), "valid").max() / 500 for line in settled.T]
    chance = math.sqrt(interval * (1 - interval) / 500)
    steady = 3 * len(HALVES)  # of the kinds that do not change
    assert max(worst[:steady]) < 1 - interval + 4 * chance
    assert max(worst[steady:]) < 1 - interval + 4 * chance + 0.06  # as after 23 misses, to be ten times as wide


def test_what_cannot_be_is_refused() -> None:
    for interval, alarm in ((0.0, None), (1.0, None), (0.9, 1.0), (NAN, None), (0.9, 0.9)):
        with pytest.raises(ArgumentError):
            Bounds(interval, 1, alarm=alarm)
    with pytest.raises(ArgumentError):
        Bounds(0.9, 2).load(Bounds(0.9, 1).dump(0), 0)
