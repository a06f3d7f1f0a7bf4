"""The running scales: against a plain loop, however the records are divided, and on data that ruins naive ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scales import LARGEST, divisions, held, reach_of, same, spread_of, wild

from recurrio.core import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.keyed_standardise import KeyedStandardiser
from recurrio.core.online.standardise import Standardiser, scaled

NAN = math.nan


def moments(values: list[float], about: float) -> tuple[float, float]:
    """Mean and sum of squared distances from it, exactly."""
    mean = about + math.fsum(value - about for value in values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)


def plain(values: list[float], half_life: int, clip: float) -> Iterator[tuple[float, float]]:
    """What a column is to be scaled by, record after record."""
    count = squares = mean = spread = 0.0
    seen, block = False, list[float]()
    for n, value in enumerate(values):
        value = held(value, -LARGEST, LARGEST)
        present = not math.isnan(values[n])
        if present and not seen:
            mean, seen = value, True
        yield mean, spread
        if present:
            block.append(value)
        due = n + 1
        if not ((due <= 256 and due & (due - 1) == 0) or due % 256 == 0):
            continue
        if block and due <= 256:
            middle, low, high = reach_of(block, clip)
            mean, squares = moments([held(v, low, high) for v in block], middle)
            count = float(len(block))
        elif block:
            before = count * 2.0 ** (-256 / half_life)
            middle, low, high = mean, mean - clip * spread, mean + clip * spread
            beyond = sum(not low <= v <= high for v in block)
            if before == 0 or (beyond and (spread == 0 or (beyond > 1 and 8 * beyond > len(block)))):
                middle, bottom, top = reach_of(block, clip)
                low, high = (min(low, bottom), max(high, top)) if before else (bottom, top)
            own, own_squares = moments([held(v, low, high) for v in block], middle)
            share = len(block) / (before + len(block))
            squares = squares * 2.0 ** (-256 / half_life) + own_squares + (own - mean) ** 2 * before * share
            mean = mean + (own - mean) * share if before else own
            count = before + len(block)
        if block:
            spread = spread_of(squares / count, mean)
        if due % 256 == 0:
            block = []


@pytest.mark.parametrize("half_life", [4096, 300, 1])
@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("gaps", [0, 0.94, 0.99])
def test_against_a_plain_loop(columns: int, half_life: int, gaps: float) -> None:
    for seed in range(4):
        values = wild(seed, 5000, columns)
        values[np.random.default_rng(seed).random(values.shape) < gaps] = NAN
        mean, deviation = Standardiser(columns, half_life=half_life).scale(values)
        for column in range(columns):
            expected = np.array(list(plain(values[:, column].tolist(), half_life, 5.0)))
            np.testing.assert_allclose(mean[:, column], expected[:, 0], 1e-12)
            np.testing.assert_allclose(deviation[:, column], expected[:, 1], 1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), columns=st.sampled_from([1, 2, 5]), cuts=divisions(1500), layout=st.booleans())
def test_calls_are_divided_anyhow(seed: int, columns: int, cuts: list[slice], layout: bool) -> None:
    values = wild(seed, 1500, columns)
    whole = Standardiser(columns, half_life=500)
    expected = whole.scale(values)
    if layout:
        values = np.asfortranarray(values)
    parts = Standardiser(columns, half_life=500)
    found = []
    for cut in cuts:
        found.append(parts.scale(values[cut]))
        again = Standardiser(columns, half_life=500)
        again.load(parts.dump())
        parts = again
    for index in range(2):
        assert np.concatenate([pair[index] for pair in found]).tobytes() == expected[index].tobytes()
    same(parts.dump(), whole.dump())


class Careless(Standardiser):
    """A planted error: it fades with every call."""

    def scale(self, values: Array) -> tuple[Array, Array]:
        found = super().scale(values)
        self._count *= self._fade
        return found


def test_a_division_that_matters_would_be_noticed() -> None:
    values = wild(0, 600, 2)
    one, other = Careless(2), Careless(2)
    one.scale(values)
    other.scale(values[:400])
    other.scale(values[400:])
    with pytest.raises(AssertionError):
        same(one.dump(), other.dump())


def test_a_record_a_call() -> None:
    values = wild(7, 700, 1)
    whole, single = Standardiser(1), Standardiser(1)
    expected = whole.z(values)
    assert np.concatenate([single.z(values[n : n + 1]) for n in range(700)]).tobytes() == expected.tobytes()
    same(single.dump(), whole.dump())


@pytest.mark.parametrize("k", [1, 2, 3, 255, 256, 257, 300, 511, 512, 900])
def test_nothing_looks_ahead(k: int) -> None:
    values = wild(1, 1100, 3)
    mean, deviation = Standardiser(3).scale(values)
    values[k:] = values[k:] * -3 + 1000
    other, others = Standardiser(3).scale(values)
    seen = ~np.isnan(values[:k]).all(axis=0)  # a column's first value is its own mean
    assert np.array_equal(mean[: k + 1, seen], other[: k + 1, seen])
    assert np.array_equal(deviation[: k + 1], others[: k + 1])
    assert not np.array_equal(mean, other)


def test_updates_are_at_their_records() -> None:
    mean, _ = Standardiser(1).scale(np.arange(2000.0)[:, None])
    changes = np.flatnonzero(np.diff(mean[:, 0])) + 1
    assert changes.tolist() == [2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792]  # at 1 it is as before
    assert mean[[0, 1, 2, 4, 256, 512], 0].tolist() == [0, 0, 0.5, 1.5, 127.5, pytest.approx(256, abs=10)]


def noise(n: int, seed: int = 0) -> Array:
    return 20 + 2 * np.random.default_rng(seed).standard_normal(n)


BOTH: list[Callable[[Array], Array]] = [
    lambda x: Standardiser(1).z(x[:, None])[:, 0],
    lambda x: KeyedStandardiser(1, 1).z(x[:, None], np.zeros(len(x), np.int64))[:, 0],
]
both = pytest.mark.parametrize("z_of", BOTH, ids=["all", "keyed"])


@both
@pytest.mark.parametrize("bad", [-200.0, -9999.0, 65535.0, 1e200, -1.7e308])
@pytest.mark.parametrize("first", [0, 1, 2, 7, 100])
def test_one_in_a_hundred_does_not_blind(z_of: Callable[[Array], Array], bad: float, first: int) -> None:
    x = noise(4000)
    spoilt = np.random.default_rng(first).random(len(x)) < 0.01
    spoilt[:10], spoilt[first] = False, True
    x[spoilt] = bad
    z = z_of(x)
    assert np.abs(z).max() <= 5
    for start in range(500, len(x), 500):
        assert z[start : start + 500][~spoilt[start : start + 500]].std() > 0.6


def test_few_levels_and_sentinels_do_not_blind_either() -> None:
    x, rng = np.full(8000, 21.5), np.random.default_rng(0)
    x[rng.random(8000) < 0.02] = 21.6
    spoilt = rng.random(8000) < 0.01
    x[spoilt] = -9999
    z = Standardiser(1).z(x[:, None])[:, 0]
    assert z[4000:][~spoilt[4000:]].std() > 0.3


@both
def test_first_records_are_scaled(z_of: Callable[[Array], Array]) -> None:
    z = z_of(101325 + 50 * (noise(256) - 20))
    assert z[0] == 0
    assert np.abs(z).max() <= 5
    assert 0.8 < z[64:].std() < 1.3
    flag = z_of((np.random.default_rng(0).random(256) < 0.5).astype(float))
    assert 0.8 < flag[64:].std() < 1.3


@both
def test_a_change_of_unit_is_forgotten(z_of: Callable[[Array], Array]) -> None:
    z = z_of(np.concatenate([noise(30_000), 32 + 1.8 * noise(50_000, 1)]))
    assert abs(z[30_200:31_000].mean()) > 1
    assert abs(z[40_000:41_000].mean()) < 1
    assert abs(z[-1000:].mean()) < 0.2
    assert 0.7 < z[-1000:].std() < 1.2


@both
def test_a_change_after_a_long_constant_is_seen_at_once(z_of: Callable[[Array], Array]) -> None:
    x = np.concatenate([np.zeros(40_000), noise(3000)])
    x[:40_000:5000] = 1.0
    assert 0.2 < z_of(x)[-1500:].std() < 2


@both
def test_all_alike_is_zero(z_of: Callable[[Array], Array]) -> None:
    assert not z_of(np.full(5000, 0.177)).any()
    assert not z_of(np.full(700, 5e-324)).any()


@both
def test_many_digits_are_kept(z_of: Callable[[Array], Array]) -> None:
    z = z_of(1.7e9 + np.arange(6000) % 2)
    np.testing.assert_allclose(np.abs(z[-1000:]), 1, atol=0.05)


@both
def test_the_rare_one_is_clipped(z_of: Callable[[Array], Array]) -> None:
    x = np.zeros(40_000)
    x[9_999::10_000] = 1
    z = z_of(x)
    assert z[x == 1].tolist() == [1, 5, 5, 5]  # before the first there is no deviation
    assert np.abs(z[x == 0]).max() < 0.05


@both
def test_spikes_that_overflow_and_denormals(z_of: Callable[[Array], Array]) -> None:
    x = noise(3000) * 1e-310
    x[::100] = 1.7e308
    x[50::100] = -1.7e308
    z = z_of(x)
    assert np.isfinite(z).all()
    assert np.isfinite(z_of(np.tile([1.7e308, -1.7e308], 1000))).all()


def test_a_late_column_begins_with_its_first_value() -> None:
    values = np.full((300, 2), NAN)
    values[:, 0] = noise(300)
    values[260:, 1] = 7 + np.arange(40)
    mean, deviation = Standardiser(2).scale(values)
    assert mean[:260, 1].tolist() == [0] * 260
    assert mean[260:, 1].tolist() == [7] * 40
    assert deviation[:, 1].tolist() == [0] * 300
    assert scaled(values, mean, deviation, 5.0)[258:269, 1].tolist() == pytest.approx(
        [NAN, NAN, 0, 1, 2, 3, 4, 5, 5, 5, 5], nan_ok=True
    )


def test_latest_is_what_the_next_record_is_scaled_by() -> None:
    scales = Standardiser(2)
    for size in (1, 1, 200, 54, 7):
        scales.scale(wild(3, 263, 2)[:size])
        mean, deviation = (array.copy() for array in scales.latest)
        again = Standardiser(2)
        again.load(scales.dump())
        found = again.scale(np.zeros((1, 2)))
        assert np.array_equal(found[0][0], mean)
        assert np.array_equal(found[1][0], deviation)


def test_what_does_not_fit_is_refused() -> None:
    scales = Standardiser(2)
    scales.scale(wild(0, 300, 2))
    before = scales.dump()
    for other in (Standardiser(3), Standardiser(2, half_life=5), Standardiser(2, clip=4), KeyedStandardiser(2, 2)):
        with pytest.raises(ArgumentError):
            scales.load(other.dump())
        with pytest.raises(ArgumentError):
            other.load(before)
    same(scales.dump(), before)
    with pytest.raises(ArgumentError, match=r"values: expected a float64 array \(n, 2\)"):
        scales.scale(np.zeros((3, 2), np.float32))
    with pytest.raises(ArgumentError, match="clip"):
        Standardiser(1, clip=0)


def test_no_columns_is_allowed() -> None:
    scales = Standardiser(0)
    assert scales.z(np.zeros((600, 0))).shape == (600, 0)
    assert scales.records == 600
