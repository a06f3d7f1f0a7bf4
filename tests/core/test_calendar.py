"""The calendar, and its weight: 0 where the time of day says nothing of what is to come."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.calendar import COLUMNS, Calendar, calendar

HOUR, START = 3600.0, 1.7e9
DUE = [1, 2, 4, 8, 16, 32, 64, 128, *range(256, 5000, 256)]


def weights(times: Array, targets: Array, horizons: list[int]) -> Array:
    """By the equations, of all records so far, at each update."""
    day, found, now = calendar(times)[:, :12], np.zeros(len(times)), 0.0
    for start, stop in zip([0, *DUE], [*DUE, len(times)], strict=True):
        found[start:stop] = now
        if stop >= len(times):
            return found
        fade = 2.0 ** -(256 / 4096 * ((stop - 1 - np.arange(stop)) // 256))
        best = 0.0
        for target, horizon in zip(targets.T, horizons, strict=True):
            some = ~np.isnan(target[:stop])
            w, y, c = fade[some], target[:stop][some], day[:stop][some]
            n = w.sum()
            if not n:
                continue
            yc, cc = y - (w * y).sum() / n, c - (w[:, None] * c).sum(0) / n
            spread = (w[:, None] * cc * cc).sum(0)
            if (w * yc * yc).sum() <= 1e-9 * n:
                continue
            with np.errstate(divide="ignore", invalid="ignore"):
                share = (w[:, None] * cc * yc[:, None]).sum(0) ** 2 / (spread * (w * yc * yc).sum())
            r2 = share[spread > 1e-9 * n].sum()
            best = max(best, 1 - 2 * 12 * horizon / n / r2 if r2 > 0 else 0.0)
        now = best
    return found


def test_the_columns_are_sines_and_cosines() -> None:
    times = START + np.arange(1000) * 1234.5
    found = calendar(times)
    assert found.shape == (1000, COLUMNS)
    day, week = (times % 86400) / 86400, ((times - 4 * 86400) % 604800) / 604800
    for k in range(1, 7):
        np.testing.assert_allclose(found[:, 2 * k - 2], np.sin(2 * np.pi * k * day), atol=1e-12)
        np.testing.assert_allclose(found[:, 2 * k - 1], np.cos(2 * np.pi * k * day), atol=1e-12)
    np.testing.assert_allclose(found[:, 12], np.sin(2 * np.pi * week), atol=1e-12)
    np.testing.assert_allclose(found[:, 13], np.cos(2 * np.pi * week), atol=1e-12)
    monday = calendar(np.array([1704067200.0]))  # 2024-01-01T00:00Z
    np.testing.assert_allclose(monday[0, 1::2], 1, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    cuts=st.lists(st.integers(0, 3000), max_size=8),
    hours=st.sampled_from([0.1, 1.0, 24.0]),
    amplitude=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_the_weight_is_that_of_the_equations_however_records_are_cut(
    seed: int, cuts: list[int], hours: float, amplitude: float
) -> None:
    rng = np.random.default_rng(seed)
    times = START + np.arange(3000) * hours * HOUR
    targets = rng.standard_normal((3000, 2)) + amplitude * np.sin(times / 86400 * 6 * np.pi)[:, None] * [1, 0]
    targets[rng.random((3000, 2)) < 0.2] = np.nan
    whole, parts = Calendar([1, 3]), Calendar([1, 3])
    found = whole.weigh(calendar(times), targets)
    np.testing.assert_allclose(found, weights(times, targets, [1, 3]), atol=1e-9)
    edges = [0, *sorted(cuts), 3000]
    cut = []
    for start, stop in itertools.pairwise(edges):
        cut.append(parts.weigh(calendar(times[start:stop]), targets[start:stop]))
        copy = Calendar([1, 3])
        copy.load(parts.dump())
        parts = copy
    np.testing.assert_array_equal(np.concatenate(cut), found)


@pytest.mark.parametrize("seed", range(20))
def test_noise_has_next_to_no_weight_and_a_daily_course_nearly_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = START + np.arange(6000) * HOUR
    noise = rng.standard_normal((6000, 1))
    assert Calendar([1]).weigh(calendar(times), noise)[600:].mean() < 0.1
    course = noise + np.where(times % 86400 < 30_000, 1.0, -0.5)[:, None]  # rises and falls at once, not in a wave
    assert Calendar([1]).weigh(calendar(times), course)[600:].min() > 0.8


def test_what_never_changes_and_what_comes_once_a_day_has_none() -> None:
    times = START + np.arange(3000) * HOUR
    assert not Calendar([1]).weigh(calendar(times), np.ones((3000, 1))).any()
    midnights = START // 86400 * 86400 + np.arange(3000) * 86400.0
    noise = np.random.default_rng(0).standard_normal((3000, 1))
    assert not Calendar([1]).weigh(calendar(midnights), noise).any()


def test_without_targets_it_has_all() -> None:
    found = Calendar([]).weigh(calendar(START + np.arange(600.0)), np.zeros((600, 0)))
    assert np.all(found == 1)


def test_it_takes_nothing_else() -> None:
    weight = Calendar([1])
    with pytest.raises(ArgumentError, match="columns"):
        weight.weigh(np.zeros((3, 4)), np.zeros((3, 1)))
    with pytest.raises(ArgumentError, match="targets"):
        weight.weigh(calendar(np.arange(3.0)), np.zeros((2, 1)))
    other = Calendar([1, 2])
    other.weigh(calendar(np.arange(3.0)), np.zeros((3, 2)))
    with pytest.raises(ArgumentError):
        weight.load(other.dump())
