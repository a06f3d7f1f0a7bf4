"""Records that ruin a running scale, how they may be divided, and the rule of its bounds, written plainly."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from recurrio.core.base.parameters import Array
from recurrio.core.base.state import Part

LARGEST, ROUNDING = 1e140, 4 * 2.0**-52
NAN = math.nan


def wild(seed: int, n: int, columns: int) -> Array:
    """Skewed numbers far from 0, with gaps, sentinels, spikes, changes of level, and columns that begin late."""
    rng = np.random.default_rng(seed)
    values = 1e6 + np.exp(2 * rng.standard_normal((n, columns))) * rng.choice([1.0, 1e-3], columns)
    values[rng.random(values.shape) < 0.02] = -9999
    values[rng.random(values.shape) < 0.002] = 1e200
    values[n // 2 :, 0] *= 1.8
    values[: n // 4, -1] = np.round(values[: n // 4, -1])
    values[rng.random(values.shape) < 0.1] = NAN
    values[: rng.integers(0, 20), rng.integers(columns)] = NAN
    return values


def divisions(n: int) -> st.SearchStrategy[list[slice]]:
    """Ways to divide n records, with empty parts."""

    def cut(places: list[int]) -> list[slice]:
        return [slice(*pair) for pair in pairwise([0, *sorted(places), n])]

    return st.lists(st.integers(0, n), max_size=12).map(cut)


def reach_of(values: list[float], clip: float) -> tuple[float, float, float]:
    """The median and the bounds around it."""
    last = len(values) - 1
    middle = sorted(values)[last // 2]
    away = sorted(abs(value - middle) for value in values)
    differ = [distance for distance in away if distance]
    reach = clip * (away[7 * last // 8] or (differ[(len(differ) - 1) // 2] if differ else 0.0))
    return middle, max(middle - reach, -LARGEST), min(middle + reach, LARGEST)


def spread_of(variance: float, mean: float) -> float:
    """The deviation, 0 where it is rounding."""
    spread = math.sqrt(variance)
    return spread if spread > max(abs(mean) * ROUNDING, 1e-150) else 0.0


def held(value: float, low: float, high: float) -> float:
    """`value` within the bounds, NaN as it is."""
    return min(max(value, low), high)


def same(one: Part, two: Part) -> None:
    """Two parts are the same bit for bit."""
    assert one.about == two.about
    assert one.arrays.keys() == two.arrays.keys()
    for name, array in one.arrays.items():
        assert array.tobytes() == two.arrays[name].tobytes(), name
        assert array.dtype == two.arrays[name].dtype
        assert array.flags.c_contiguous
