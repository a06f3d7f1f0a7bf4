"""The detectors of drift: each finds a shift, none where there is none, and the well-known ones say what river's do."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.base.state import Part
from recurrio.core.online.drift import ADWIN, DETECTORS, Detector, PageHinkley


def found(detector: Detector, values: Array) -> list[int]:
    return [index for index, value in enumerate(values.tolist()) if detector.update(value)]


def stretches(seed: int) -> Array:
    """Numbers that change now and then."""
    rng = np.random.default_rng(seed)
    parts = zip(rng.normal(0, 1, 8), rng.uniform(0.1, 2, 8), rng.integers(50, 900, 8), strict=True)
    return np.concatenate([rng.normal(*part) for part in parts])


@pytest.mark.parametrize("name", DETECTORS)
def test_a_shift_is_found_soon(name: str) -> None:
    for seed in range(20):
        values = np.random.default_rng(seed).standard_normal(2000)
        values[1000:] += 1.0
        at = found(DETECTORS[name](), values)
        assert at, f"seed {seed}"
        assert 1000 <= at[0] < 1200, f"seed {seed}: {at}"


@pytest.mark.parametrize("name", DETECTORS)
def test_there_is_none_where_nothing_changes(name: str) -> None:
    alarms = [
        bool(found(DETECTORS[name](), np.random.default_rng(seed).standard_normal(100_000))) for seed in range(20)
    ]
    assert sum(alarms) <= 1


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_it_goes_on_from_what_it_gave(name: str, seed: int, cuts: list[int]) -> None:
    values = stretches(seed)
    detector, at = DETECTORS[name](), list[int]()
    edges = [0, *sorted(cut % len(values) for cut in cuts), len(values)]
    for start, stop in itertools.pairwise(edges):
        at += [start + index for index in found(detector, values[start:stop])]
        given = detector.dump()
        detector = DETECTORS[name]()
        detector.load(Part({key: array.copy() for key, array in given.arrays.items()}, given.about))
    assert at == found(DETECTORS[name](), values)


@pytest.mark.parametrize("name", DETECTORS)
def test_what_is_no_number_never_gets_in(name: str) -> None:
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ArgumentError, match="value"):
            DETECTORS[name]().update(value)


@pytest.mark.parametrize("seed", range(20))
def test_rivers_say_the_same(seed: int) -> None:
    river = pytest.importorskip("river.drift", reason="needs river")
    values = stretches(seed)
    pairs = [
        (ADWIN(), river.ADWIN()),
        (ADWIN(delta=0.1, every=1), river.ADWIN(delta=0.1, clock=1)),
        (PageHinkley(delta=0.005, threshold=20, alpha=0.9999), river.PageHinkley(threshold=20)),
    ]
    for ours, theirs in pairs:
        at = []
        for index, value in enumerate(values.tolist()):
            theirs.update(value)
            if theirs.drift_detected:
                at.append(index)
        assert found(ours, values) == at
        assert at or not isinstance(ours, ADWIN)


def test_a_window_takes_little() -> None:
    window = ADWIN()
    found(window, np.random.default_rng(0).standard_normal(50_000))
    assert window.width == 50_000
    assert len(window.dump().arrays["buckets"]) < 5 * 17


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ADWIN(delta=0), "delta"),
        (lambda: ADWIN(every=0), "every"),
        (lambda: PageHinkley(threshold=-1), "threshold"),
        (lambda: PageHinkley(alpha=2), "alpha"),
    ],
)
def test_nonsense_is_refused(make: object, name: str) -> None:
    with pytest.raises(ArgumentError, match=name):
        make()  # type: ignore[operator]
