"""Fixtures of the whole suite."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recurrio.core import SequenceBatch
from recurrio.pipeline.launch import launched_rank

# A job in the background of a script begins with these ignored, and so would the commands that tests signal.
for number, action in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, action)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

NO_CASE = SimpleNamespace(params={})  # of a test without parameters
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


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in: the path of a socket cannot be long."""
    folder = tmp_path_factory.mktemp("s p")
    monkeypatch.chdir(folder)
    return folder


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave what stays for good out of every search for garbage: the modules, and thousands of tests."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the first case of each test as quick: so every promise is kept once, wherever a new test stands.

    Cases of the executor ``"mpi"`` take a job, which tests/pipeline/test_mpi.py starts: pytest is in its rank 0.
    """
    seen = set()
    for item in items:
        values = getattr(item, "callspec", NO_CASE).params.values()
        if launched_rank() is None and any(isinstance(value, str) and value == "mpi" for value in values):
            item.add_marker(pytest.mark.skip(reason="mpi: mpiexec has not started pytest"))
        test = (item.path, getattr(item, "originalname", item.name))
        if test not in seen:
            item.add_marker(pytest.mark.quick)
        seen.add(test)
