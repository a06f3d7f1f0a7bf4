"""The number of BLAS threads, held by blocks that overlap, in one thread and in several."""

from __future__ import annotations

import threading
import timeit
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import threadpoolctl

from recurrio.core import SGD, SequenceBatch, SequenceModel
from recurrio.core.base import blas
from recurrio.core.base.blas import blas_threads
from recurrio.core.serial import train


def numbers() -> list[int]:
    """The threads of each BLAS library, asked of a controller of this test's own."""
    return [library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    """A number that no block holds, so that it shows when it is not restored."""
    with threadpoolctl.threadpool_limits(3, user_api="blas"):
        if not numbers():
            pytest.skip("NumPy's BLAS has no number of threads that can be set")
        assert set(numbers()) == {3}
        yield
        assert set(numbers()) == {3}


def side_by_side(*works: Callable[[], None]) -> None:
    """Run `works` in a thread each; an error in one is raised here."""
    errors: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_blocks_may_end_in_any_order() -> None:
    first, second = blas_threads(1), blas_threads(1)
    with first:
        assert set(numbers()) == {1}
        second.__enter__()
    assert set(numbers()) == {1}
    second.__exit__(None, None, None)
    assert set(numbers()) == {3}


def test_another_number_is_refused_and_changes_nothing() -> None:
    with blas_threads(1):
        with pytest.raises(ValueError, match="blas_threads: expected 1, as of a trainer that is running, got 2"):
            blas_threads(2).__enter__()
        assert set(numbers()) == {1}
    assert not blas._holders


class _Slow:
    """A library that lets a second thread ask for its number in the middle of the first one's start, if it can."""

    def __init__(self) -> None:
        self._library = blas._libraries()[0]
        self.clear_controlling_thread = getattr(self._library, "clear_controlling_thread", None)
        self.asked, self.ended = threading.Event(), threading.Event()

    @property
    def num_threads(self) -> int:
        number = self._library.num_threads
        if threading.current_thread().name == "second":
            self.asked.set()
            self.ended.wait(0.3)
        return number

    def set_num_threads(self, number: int) -> None:
        self._library.set_num_threads(number)
        if threading.current_thread().name == "first":
            self.asked.wait(0.3)


def test_a_block_that_ends_takes_nothing_from_one_that_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = _Slow()
    monkeypatch.setattr(blas, "_libraries", lambda: [slow])

    def first() -> None:
        threading.current_thread().name = "first"
        with blas_threads(1):
            pass
        slow.ended.set()

    def second() -> None:
        threading.current_thread().name = "second"
        with blas_threads(1):
            slow.ended.wait(0.3)
            assert set(numbers()) == {1}

    side_by_side(first, second)


def test_a_thread_may_set_it_that_is_not_the_first_to_do_so() -> None:
    # The fixture holds the number by threadpoolctl itself, in the main thread.
    def work() -> None:
        with blas_threads(1):
            assert set(numbers()) == {1}

    side_by_side(work)
    assert set(numbers()) == {3}
    with threadpoolctl.threadpool_limits(4, user_api="blas"):
        assert set(numbers()) == {4}, "threadpoolctl has not got its say back"


def test_many_threads_never_see_another_number() -> None:
    def work() -> None:
        for _ in range(300):
            with blas_threads(2):
                assert blas._libraries()[0].num_threads == 2

    side_by_side(*[work] * 4)
    assert set(numbers()) == {3}


def test_the_serial_loop_holds_it_too(make_batches: Callable[..., list[SequenceBatch]]) -> None:
    def work() -> None:
        for _ in train(SequenceModel(5, hidden_size=4, seed=0), SGD(0.1), make_batches(100, 3, 2, 5)):
            pass

    side_by_side(work, work, work)
    with blas_threads(2), pytest.raises(ValueError, match="blas_threads: expected 2"):
        work()


def test_an_interrupt_in_the_middle_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> list[Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(blas, "_libraries", interrupted)
    with pytest.raises(KeyboardInterrupt):
        blas_threads(1).__enter__()
    assert not blas._holders


def test_one_inside_another_is_cheap() -> None:
    def enter() -> None:
        with blas_threads(1):
            pass

    with blas_threads(1):
        assert min(timeit.repeat(enter, number=1000, repeat=5)) < 20e-6 * 1000
