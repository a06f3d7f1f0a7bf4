"""The running scales of each key: against a plain loop a record, bit for bit, however the records are divided."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scales import LARGEST, divisions, held, reach_of, same, spread_of, wild

from recurrio.core import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.keyed_standardise import KeyedStandardiser
from recurrio.core.online.standardise import Standardiser


class Plain:
    """One column of one key."""

    def __init__(self, half_life: int, clip: float) -> None:
        self.least, self.clip = 1 - 2 ** (-1 / half_life), clip
        self.first = list[float]()
        self.count = self.outside = 0
        self.mean = self.variance = 0.0

    def scale(self, value: float) -> tuple[float, float]:
        if math.isnan(value):
            return self.mean, spread_of(self.variance, self.mean)
        value = held(value, -LARGEST, LARGEST)
        if self.count == 0:
            self.mean = value
        mean, spread = self.mean, spread_of(self.variance, self.mean)
        if self.count < 4:
            self.first.append(value)
            if self.count + 1 in (1, 2, 4):
                self.begin()
        else:
            away, bound = value - mean, self.clip * (1 + 16 / self.count) * spread
            beyond = spread > 0 and abs(away) > bound
            if beyond and self.outside < 32:
                away = math.copysign(bound, away)
            self.outside = self.outside + 1 if beyond else 0
            weight = max(2 / (self.count + 2), self.least)
            self.mean = mean + weight * away
            self.variance = (1 - weight) * (self.variance + weight * away * away)
        self.count += 1
        return mean, spread

    def begin(self) -> None:
        middle, low, high = reach_of(self.first, self.clip)
        away = [held(value, low, high) - middle for value in self.first]
        part = added(away) / len(away)
        self.mean = middle + part
        self.variance = max(added([a * a for a in away]) / len(away) - part * part, 0.0)


def added(values: list[float]) -> float:
    """Their sum in order; `sum` rounds in another way from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def keys_of(seed: int, n: int, capacity: int) -> Array:
    """Rows of which some come far more often than others; now and then one begins anew."""
    rng = np.random.default_rng(seed + 1000)
    rows = np.minimum(rng.zipf(1.4, n) - 1, capacity - 1)
    return np.where(rng.random(n) < 0.01, ~rows, rows)


@pytest.mark.parametrize("half_life", [4096, 20])
@pytest.mark.parametrize("columns", [1, 3])
def test_against_a_plain_loop(columns: int, half_life: int) -> None:
    for seed in range(4):
        values, rows = wild(seed, 2000, columns), keys_of(seed, 2000, 9)
        mean, deviation = KeyedStandardiser(columns, 9, half_life=half_life).scale(values, rows)
        known: dict[int, list[Plain]] = {}
        for n, row in enumerate(rows.tolist()):
            key = row if row >= 0 else ~row
            if row < 0 or key not in known:
                known[key] = [Plain(half_life, 5.0) for _ in range(columns)]
            expected = [one.scale(value) for one, value in zip(known[key], values[n].tolist(), strict=True)]
            assert list(zip(mean[n].tolist(), deviation[n].tolist(), strict=True)) == expected, n


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), columns=st.sampled_from([1, 2, 5]), cuts=divisions(600), capacity=st.integers(1, 40))
def test_calls_are_divided_anyhow(seed: int, columns: int, cuts: list[slice], capacity: int) -> None:
    values, rows = wild(seed, 600, columns), keys_of(seed, 600, capacity)
    whole = KeyedStandardiser(columns, capacity, half_life=50)
    expected = whole.scale(values, rows)
    parts, found = KeyedStandardiser(columns, capacity, half_life=50), []
    for cut in cuts:
        found.append(parts.scale(values[cut], rows[cut]))
        again = KeyedStandardiser(columns, capacity, half_life=50)
        again.load(parts.dump())
        parts = again
    for index in range(2):
        assert np.concatenate([pair[index] for pair in found]).tobytes() == expected[index].tobytes()
    same(parts.dump(), whole.dump())


@pytest.mark.parametrize("k", [1, 2, 30, 500])
def test_nothing_looks_ahead(k: int) -> None:
    values, rows = np.nan_to_num(wild(1, 600, 3)), keys_of(1, 600, 9)
    mean, deviation = KeyedStandardiser(3, 9).scale(values, rows)
    values[k] = values[k] * -3 + 1000
    other, others = KeyedStandardiser(3, 9).scale(values, rows)
    new = rows[k] < 0 or rows[k] not in rows[:k]  # its first value is its own mean
    assert np.array_equal(mean[: k + 1 - new], other[: k + 1 - new])
    assert np.array_equal(deviation[: k + 1], others[: k + 1])
    assert not np.array_equal(mean, other)
    strangers = rows != rows[k]
    strangers &= rows != ~rows[k]
    assert np.array_equal(mean[strangers], other[strangers])


def test_a_key_that_begins_anew_knows_nothing() -> None:
    values = wild(5, 300, 2)
    used, fresh = KeyedStandardiser(2, 3), KeyedStandardiser(2, 3)
    used.scale(values, np.tile([0, 1, 2], 100))
    rows = np.zeros(50, np.int64)
    rows[0] = ~0
    assert used.z(values[:50], rows).tobytes() == fresh.z(values[:50], rows).tobytes()
    assert used.dump().arrays["rows"].tolist() == [0, 1, 2]


def test_what_does_not_fit_is_refused() -> None:
    scales = KeyedStandardiser(2, 4)
    scales.scale(wild(0, 300, 2), np.full(300, 3))
    before = scales.dump()
    others = (KeyedStandardiser(3, 4), KeyedStandardiser(2, 4, half_life=5), KeyedStandardiser(2, 4, clip=4))
    for other in (*others, Standardiser(2)):
        with pytest.raises(ArgumentError):
            scales.load(other.dump())
    with pytest.raises(ArgumentError, match="rows: expected rows below 3, got 3"):
        KeyedStandardiser(2, 3).load(before)
    for rows in ([0, 4], [0, ~4]):
        with pytest.raises(ArgumentError, match="rows: expected rows below 4, got 4"):
            scales.scale(np.ones((2, 2)), np.array(rows))
    with pytest.raises(ArgumentError, match="rows: expected a int64 array"):
        scales.scale(np.ones((2, 2)), np.zeros(3, np.int64))
    same(scales.dump(), before)
