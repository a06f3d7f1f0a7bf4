"""What forecasts are a change from: the last value, unless a number comes back to its mean."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.online.centre import Centre

DUE = [0, *(1 << k for k in range(12)), *range(4096, 1 << 16, 4096)]
NONE = np.zeros(0, np.int64)


def ar(slope: float, count: int, seed: int = 0) -> Array:
    """A series that comes back to 100, the slower the nearer its slope is to 1."""
    noise, found = np.random.default_rng(seed).standard_normal(count), np.empty(count)
    found[0] = 0
    for i in range(1, count):
        found[i] = slope * found[i - 1] + noise[i]
    return found + 100


def prices(count: int, power: float = 1.0) -> Array:
    """A series whose changes are as the power of its size, which swings a hundredfold."""
    size = 100 ** (np.sin(np.arange(count) * 2 * np.pi / 1000) / 2)
    return 100 * size + 5 * (ar(0.8, count, 2) - 100) * size**power


def pairs(x: Array, h: int = 1) -> tuple[Array, Array, Array]:
    """Values, those so many records before, and those values as truths."""
    before = np.concatenate((np.full(h, np.nan), x[:-h]))
    return x[:, None], before[:, None], np.where(np.isnan(before), np.nan, x)[:, None]


def follow(centre: Centre, x: Array, h: int = 1, rows: Array = NONE, cuts: tuple[int, ...] = ()) -> list[Array]:
    rows = rows if len(rows) else np.zeros(len(x), np.int64)
    told, parts = pairs(x, h), []
    for start, stop in pairwise([0, *cuts, len(x)]):
        parts.append(centre.follow(rows[start:stop], *(each[start:stop] for each in told)))
    found = [np.concatenate(part) for part in zip(*parts, strict=True)]
    return [found[0][:, 0], found[1][:, 0], found[2]]


def by_the_equations(x: Array, h: int) -> tuple[Array, Array]:
    """Centres and units of a series without outliers, from weighted sums over all truths up to the last update."""
    found, said, unit = x.copy(), x.copy(), np.ones(len(x))  # centres, and regressions
    size = np.ones(len(x))  # with which each truth came
    fit = (0.0, 0.0, 0.0)
    errors = np.full((2, len(x)), np.nan)  # of the record in which each truth came
    for start, stop in pairwise(DUE):
        if start >= len(x):
            return found, unit
        stop = min(stop, len(x))
        use, power = False, 0.0
        if start > h:
            at = np.arange(h, start)
            w = 2.0 ** (-_behind(start, h) / 4096)
            a, b = x[at - h], x[at]
            n = w.sum()
            ma, mb = (w * a).sum() / n, (w * b).sum() / n
            va, vb, c = ((w * p * q).sum() / n for p, q in ((a - ma, a - ma), (b - mb, b - mb), (a - ma, b - mb)))
            fit = (0.0, ma, mb)
            if va > 1e-12:
                slope = c / va
                error = np.sqrt(max(vb - slope * c, 0) / va / max(n / h - 2, 1))
                fit = (max(1 - slope - 3 * error - 5 * h / n, 0.0), ma, mb)
            w = 2.0 ** (-_behind(start, h) / 1024)
            last, own = ((w * e[h:start]).sum() / w.sum() for e in errors)
            use = w.sum() >= 32 and fit[0] >= 0.05 and own < 0.7 * last
            u = size[h:start]
            p = [(w * g * np.log(u)).sum() / w.sum() + np.log((w * np.abs(b - a) / u**g).sum()) for g in (0, 0.5, 1)]
            if w.sum() >= 32 and not use and min(p) < p[0] - 0.15:
                power = float(np.argmin(p)) / 2
        said = x + (fit[2] - fit[1]) - fit[0] * (x - fit[1])
        found[start:stop] = said[start:stop] if use else x[start:stop]
        if fit[1]:
            unit[start:stop] = np.clip(np.abs(x[start:stop] / fit[1]), 1 / 16, 16) ** power
        now = np.arange(max(start, h), stop)
        size[now] = np.clip(np.abs(x[now - h] / fit[1]), 1 / 16, 16) if fit[1] else 1.0
        errors[0, now], errors[1, now] = (x[now] - x[now - h]) ** 2, (x[now] - said[now - h]) ** 2
    return found


def _behind(start: int, h: int) -> Array:
    """How many truths came in updates after that which took in each of those before the record `start`."""
    at = np.arange(h, start)
    ends = np.array(DUE)[np.searchsorted(DUE, at, side="right")]
    return start - np.maximum(ends, h)


@pytest.mark.parametrize(("slope", "h"), [(0.0, 1), (0.3, 1), (0.8, 3), (1.0, 1), (-0.5, 1)])
def test_the_equations(slope: float, h: int) -> None:
    x = ar(slope, 10_000)
    found, unit, _ = follow(Centre([h]), x, h)
    expected = by_the_equations(x, h)
    np.testing.assert_allclose(found, expected[0], rtol=1e-9)
    np.testing.assert_allclose(unit, expected[1], rtol=1e-9)


def test_a_number_that_comes_back_to_its_mean() -> None:
    x = ar(0.0, 4000)
    found, unit, chosen = follow(Centre([1]), x)
    assert (unit == 1).all()
    assert (found[:32] == x[:32]).all()
    assert np.abs(found[1000:] - 100).max() < 0.5  # the mean, nearly
    assert (chosen[1000:, 0, 0] > 0.8).all()


@pytest.mark.parametrize("slope", [1.0, 0.9])
def test_a_number_that_wanders(slope: float) -> None:
    for seed in range(5):
        x = ar(slope, 20_000, seed)
        found, unit, chosen = follow(Centre([1]), x)
        assert found.tobytes() == x.tobytes()
        assert (unit == 1).all()
        assert not chosen.any()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_number_whose_changes_grow_with_it(power: float) -> None:
    x = prices(10_000, power)
    found, unit, chosen = follow(Centre([1]), x)
    assert (found == x).all()
    assert (chosen[4096:, 0, 3] == power).all()
    np.testing.assert_allclose(unit[1024:], by_the_equations(x, 1)[1][1024:], rtol=1e-9)


@pytest.mark.parametrize(("wanders", "share"), [(True, 1.0), (False, 0.1)])
def test_single_outliers_decide_nothing(wanders: bool, share: float) -> None:
    """Of what wanders it stays the last value; of noise, it is the mean, from which they draw it but a little."""
    rng = np.random.default_rng(1)
    x = np.cumsum(rng.standard_normal(20_000)) if wanders else rng.standard_normal(20_000)
    x = np.where(rng.random(20_000) < 0.002, -9999.0, x)
    found, unit, _ = follow(Centre([1]), x)
    assert (unit == 1).all()
    usual = (x > -9999)[2000:]
    assert np.abs(found[2000:] - (x[2000:] if wanders else 0))[usual].mean() < share * np.abs(x[2000:])[usual].mean()
    if not wanders:
        assert np.abs(found[2000:])[~usual].max() < 3000  # an outlier is no centre
    else:
        assert (found == x).all()


@given(data=st.data(), seed=st.integers(0, 1000), keys=st.integers(0, 3), h=st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_same_bits_however_divided_and_taken_up(data: st.DataObject, seed: int, keys: int, h: int) -> None:
    rng = np.random.default_rng(seed)
    n = data.draw(st.sampled_from([1, 5, 100, 700, 2500]))
    x = np.where(rng.random(n) < 0.1, np.nan, rng.standard_normal(n) * 10.0 ** rng.integers(-3, 3))
    rows = rng.integers(0, max(keys, 1), n)
    rows = np.where(rng.random(n) < 0.02, ~rows, rows)
    cuts = tuple(sorted(data.draw(st.lists(st.integers(0, n), max_size=4))))
    cuts += tuple(np.flatnonzero(rows < 0).tolist())  # keys begin at the beginning of a block
    cuts = tuple(sorted(cuts))
    whole, parts = Centre([h], keys), Centre([h], keys)
    expected = follow(whole, x, h, rows, tuple(np.flatnonzero(rows < 0).tolist()))
    told, found = pairs(x, h), []
    for start, stop in pairwise([0, *cuts, n]):
        found.append(parts.follow(rows[start:stop], *(each[start:stop] for each in told)))
        other = Centre([h], keys)
        other.load(parts.dump())
        parts = other
    for mine, one in zip(zip(*found, strict=True), expected, strict=True):
        assert np.concatenate(mine).tobytes() == one.tobytes()
    ours, theirs = parts.dump(), whole.dump()
    assert ours.about == theirs.about
    assert all(ours.arrays[name].tobytes() == theirs.arrays[name].tobytes() for name in theirs.arrays)


def test_each_key_has_its_own() -> None:
    """One comes back to its mean, one wanders, and a new key in the row of a gone one begins with nothing."""
    noise, walk = ar(0.0, 3000), ar(1.0, 3000, 1)
    x, rows = np.stack((noise, walk), axis=1).ravel(), np.tile([0, 1], 3000)
    centre = Centre([1], 2)
    before = np.concatenate(([np.nan, np.nan], x[:-2]))[:, None]
    found, _, chosen = centre.follow(rows, x[:, None], before, np.where(np.isnan(before), np.nan, x[:, None]))
    assert np.abs(found[2000::2] - 100).max() < 0.5
    assert (found[1::2, 0] == walk).all()
    assert chosen.shape == (6000, 0, 4)
    anew, nothing = np.array([[7.0], [9.0]]), np.full((2, 1), np.nan)
    assert (centre.follow(np.array([~0, 0]), anew, nothing, nothing)[0] == anew).all()


@pytest.mark.parametrize("grows", [False, True])
def test_what_was_chosen_can_be_fixed(*, grows: bool) -> None:
    x = prices(3000) if grows else ar(0.0, 3000)
    found, unit, chosen = follow(centre := Centre([1]), x)
    fixed = Centre([1])
    fixed.fix(chosen[-1])
    again, units, _ = follow(fixed, x)
    assert (again[-1], units[-1]) == (found[-1], unit[-1])
    assert fixed.records == 0
    pull, origin, level, power = chosen[-1, 0]
    np.testing.assert_allclose(again, level + (1 - pull) * (x - origin))
    np.testing.assert_allclose(units, np.clip(np.abs(x / origin), 1 / 16, 16) ** power)
    assert (pull > 0) == (not grows) == (power == 0)
    for wrong in (np.zeros((2, 4)), np.full((1, 4), np.nan)):
        with pytest.raises(ArgumentError):
            centre.fix(wrong)
    with pytest.raises(ArgumentError):
        Centre([1], 4).fix(np.zeros((1, 4)))


@pytest.mark.parametrize("scale", [0.0, 1e-200, 1e-160, 1e150, 1e308])
def test_numbers_of_any_size(scale: float) -> None:
    x = (ar(0.0, 2000) - 100) / 10 * scale
    found, unit, _ = follow(Centre([1]), x)
    assert np.isfinite(found).all()
    assert ((unit >= 1 / 16) & (unit <= 16)).all()
    assert np.abs(found).max() <= np.abs(x).max() * 1.01


def test_a_state_that_does_not_fit() -> None:
    centre = Centre([1], 4)
    follow(centre, ar(0.0, 300), rows=np.arange(300) % 4)
    part = centre.dump()
    for name, array in (("sums", np.zeros((4, 1, 5))), ("at", np.array([0, 1, 2, 4])), ("rows", np.full(44, 4))):
        with pytest.raises(ArgumentError):
            Centre([1], 4).load(part._replace(arrays=part.arrays | {name: array}))
    with pytest.raises(ArgumentError):
        Centre([1], 3).load(part)
