"""Bets on which of two is better: one that is not is not found, in whatever order they come; one that is, soon."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recurrio.core.base.parameters import Array
from recurrio.core.online.bet import Bet


def won(ours: Array, theirs: Array) -> int:
    """After how many pairs; -1: never."""
    bet = Bet()
    for place, pair in enumerate(zip(ours.tolist(), theirs.tolist(), strict=True), 1):
        bet.update(*pair)
        if bet.won:
            return place
    return -1


def pairs(seed: int, gain: float, n: int = 20_000) -> tuple[Array, Array]:
    """Errors of two forecasts of the same, of which one is better by this share."""
    rng = np.random.default_rng(seed)
    truth, noise = rng.standard_normal(n), 0.2 * rng.standard_normal((2, n))
    return np.abs(truth * (1 - gain) + noise[0]), np.abs(truth + noise[1])


def test_an_equal_one_never_wins_and_a_better_one_always_does() -> None:
    assert [won(*pairs(seed, 0.0)) for seed in range(20)] == [-1] * 20
    assert all(won(*pairs(seed, -0.05)) == -1 for seed in range(5))
    for gain, most in ((0.05, 6000), (0.1, 1500), (0.5, 300)):
        places = [won(*pairs(seed, gain)) for seed in range(20)]
        assert all(0 < place < most for place in places), (gain, places)


def test_what_was_lost_long_ago_is_forgotten() -> None:
    worse, better = pairs(1, -0.5), pairs(2, 0.3)
    place = won(*[np.concatenate(parts) for parts in zip(worse, better, strict=True)])
    assert 20_000 < place < 22_000


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_no_number_changes_nothing(wrong: float) -> None:
    ours, theirs = pairs(0, 0.3, 100)
    plain, other = Bet(), Bet()
    for pair in zip(ours.tolist(), theirs.tolist(), strict=True):
        plain.update(*pair)
        for broken in ((wrong, pair[1]), (pair[0], wrong), pair):
            other.update(*broken)
    assert plain.dump() == other.dump()
    again = Bet()
    again.load(plain.dump())
    assert again.dump() == plain.dump()
