"""The replay buffer: bounded, drawn by counters, and the same wherever a run went on."""

from __future__ import annotations

import numpy as np
import pytest

from recurrio.core.base.checks import ArgumentError
from recurrio.core.base.parameters import Array
from recurrio.core.base.state import Part
from recurrio.pipeline import Records, fit
from recurrio.pipeline.lanes import replay_buffer
from recurrio.pipeline.lanes.replay_buffer import ReplayBuffer


def windows(start: int, count: int) -> Array:
    return np.arange(start, start + count, dtype=np.float32)[:, None, None] * np.ones((2, 3), np.float32)


def test_the_last_ones_are_kept_and_all_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_buffer, "MOST", 10)
    buffer, drawn = ReplayBuffer(4, 7, (2, 3)), set[float]()
    assert buffer.draw(0).shape == (0, 2, 3)
    for start, count in ((0, 3), (3, 4), (7, 0), (7, 6), (13, 25), (38, 1)):
        buffer.store(windows(start, count))
        there = buffer.dump().arrays["windows"][:, 0, 0]
        assert sorted(there) == [*range(max(0, start + count - 10), start + count)]
    for batch in range(100):
        found = buffer.draw(batch)
        assert found.shape == (4, 2, 3)
        np.testing.assert_array_equal(found, buffer.draw(batch))  # not from a state
        drawn |= {*found[:, 0, 0].tolist()}
    assert drawn == {*range(29, 39)}


def test_other_seeds_and_batches_draw_others() -> None:
    first, second = (ReplayBuffer(8, seed, (2, 3)) for seed in (1, 2))
    for buffer in (first, second):
        buffer.store(windows(0, 1000))
    assert not np.array_equal(first.draw(5), second.draw(5))
    assert not np.array_equal(first.draw(5), first.draw(6))


def test_it_goes_on_from_what_it_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_buffer, "MOST", 10)
    whole, part = (ReplayBuffer(4, 7, (2, 3)) for _ in range(2))
    whole.store(windows(0, 14))
    part.load(whole.dump())
    for buffer in (whole, part):
        buffer.store(windows(14, 3))
    np.testing.assert_array_equal(whole.draw(9), part.draw(9))
    given = whole.dump()
    for wrong in (Part({}, given.about), Part(given.arrays, {"stored": 3}), Part(given.arrays, {})):
        with pytest.raises(ArgumentError):
            part.load(wrong)


def test_what_it_takes_is_bounded() -> None:
    buffer = ReplayBuffer(1, 0, (32, 20))
    for _ in range(20):
        buffer.store(np.zeros((1000, 32, 20), np.float32))
    assert buffer._windows.nbytes == replay_buffer.MOST * 32 * 20 * 4


@pytest.mark.parametrize("wrong", [-1, 1.5, "2"])
def test_nonsense_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="replay"):
        Records([], features="x", target="x@+1", replay=wrong)


def test_windows_are_longer_where_they_are_learned_from_again() -> None:
    assert Records([], features="x", target="x@+1").largest == (8, 64)
    assert Records([], features="x", target="x@+1", replay=5).largest == (32, 69)
    assert Records([], features="x", target="x@+1", replay=5, seq_len=4).largest == (4, 69)


def test_fit_draws_by_its_seed() -> None:
    rows, given = [{"x": float(n % 7)} for n in range(120)], {"features": "x", "target": "x@+1", "replay": 2}
    models = [fit(rows, seed=3, executor="inline", **given)]
    models += [fit(Records(rows, seed=seed, **given), seed=3, executor="inline") for seed in (3, 4)]
    first, same, other = [found.model.parameters for found in models]
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)
