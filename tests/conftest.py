"""Fixtures of the whole suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recurrio.core import SequenceBatch

WORDS = "the quick brown fox jumps over the lazy dog; pack my box with five dozen liquor jugs.\n"


@pytest.fixture
def make_batches() -> Callable[..., list[SequenceBatch]]:
    """Random batches: ``make_batches(count, steps, lanes, vocabulary)``, every seventh with a reset."""

    def make(count: int, steps: int, lanes: int, vocabulary: int, seed: int = 0) -> list[SequenceBatch]:
        rng = np.random.default_rng(seed)
        tokens = rng.integers(0, vocabulary, (count, 2, steps, lanes), np.int32)
        return [SequenceBatch(*pair, reset=number % 7 == 0) for number, pair in enumerate(tokens)]

    return make


@pytest.fixture
def text_file(tmp_path: Path) -> Path:
    """A file of 17,000 characters of plain text, with a space in its name."""
    path = tmp_path / "a text.txt"
    path.write_text(WORDS * 200, encoding="utf-8")
    return path


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the first case of each test as quick: so every promise is kept once, wherever a new test stands."""
    seen = set()
    for item in items:
        test = (item.path, getattr(item, "originalname", item.name))
        if test not in seen:
            item.add_marker(pytest.mark.quick)
        seen.add(test)
