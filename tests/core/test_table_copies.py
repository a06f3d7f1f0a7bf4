"""Copies of a table: each is its own as long as anybody looks at it."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurrio.core.base import copies as module
from recurrio.core.base.copies import Copies
from recurrio.core.base.parameters import Array


@pytest.mark.quick
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3), st.booleans()), max_size=20))
def test_what_is_looked_at_stays(steps: list[tuple[int, int, bool]]) -> None:
    """Some copies are kept, whole or a part of them, and some are not."""
    table = np.zeros((50, 3))
    copies, kept = Copies(table), list[tuple[Array, Array]]()
    for number, (rows, part, prepares) in enumerate(steps):
        table[...] = number
        if prepares:
            copies.prepare(rows)
        found = copies.first(rows)[:, part:]
        assert np.array_equal(found, table[:rows, part:])
        if part:
            kept = [*kept[-3:], (found, found.copy())]
        assert all(np.array_equal(one, before) for one, before in kept)


def test_memory_is_used_again() -> None:
    table = np.ones((10, 2))
    copies = Copies(table)
    places = {copies.first(10).ctypes.data for _ in range(5)}
    assert len(places) == 1
    one = copies.first(10)
    assert copies.first(10).ctypes.data != one.ctypes.data


def test_what_is_large_is_prepared_until_there_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGE", 100)
    copies = Copies(np.ones((100, 2)))
    assert not copies.unprepared(5)
    assert copies.unprepared(20)
    for _ in range(2):
        assert copies.unprepared(20)
        copies.prepare(20)
    assert not copies.unprepared(40)
    assert copies.unprepared(41)


def test_another_thread_may_prepare() -> None:
    table = np.zeros((100, 10))
    copies = Copies(table)
    threads = [Thread(target=lambda: [copies.prepare(100) for _ in range(200)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(500):
        table[...] = number
        one, other = copies.first(100), copies.first(60)
        assert np.all(one == number)
        assert np.all(other == number)
    for thread in threads:
        thread.join()
