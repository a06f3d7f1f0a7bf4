"""A group of ranks: passes that meet in processes, and what happens after one has failed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import trio

from recurrio.core.base.arena import Arena
from recurrio.core.base.parameters import Array
from recurrio.core.base.ranks import Pass, Rank
from recurrio.pipeline.executors.rank_group import RankGroup
from recurrio.pipeline.executors.shared_memory import SharedMemory
from recurrio.pipeline.flow.worker_process import WorkerError, obstacle

pytestmark = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))


class Adder:
    """Every rank writes its number and a bit, and after the meeting adds up what all have written."""

    passes: ClassVar[tuple[str, ...]] = ("add", "fail")

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None:
        self._numbers = arena.zeros((rank.count,), np.dtype(np.float64))
        self._rank, self._bit = rank, arguments["bit"]

    def add(self, number: float, *_: float) -> Pass[float]:
        """``ranks · (number + bit)``, if the ranks have met."""
        self._numbers[self._rank.index] = number + self._bit
        yield
        total = float(self._numbers.sum())
        yield  # nobody writes again before all have read
        return total

    def fail(self, *_: float) -> Pass[None]:
        """Ends the worker."""
        yield
        if self._rank.index == 0:
            os._exit(3)


@pytest.fixture
def group() -> Iterator[RankGroup]:
    memory = SharedMemory(1 << 16)
    try:
        with RankGroup(Adder, {"bit": 0.5}, memory, ranks=3) as group:
            yield group
    finally:
        memory.close()


async def test_ranks_meet_and_the_result_is_that_of_rank_0(group: RankGroup) -> None:
    await group.ready()
    for number in range(200):
        assert await group.run("add", number) == 3 * (number + 0.5)
    group.submit("add", 7)
    assert group.result() == 22.5


async def test_a_worker_that_ends_is_an_error_and_the_group_of_no_more_use(group: RankGroup) -> None:
    await group.ready()
    with pytest.raises(WorkerError, match=r"a worker process has ended \(exit code 3\)"):
        await group.run("fail")
    with pytest.raises(WorkerError, match="out of step"):
        await group.run("add", 1)


async def test_a_worker_that_the_others_wait_for_is_watched(group: RankGroup) -> None:
    await group.ready()
    with pytest.RaisesGroup(WorkerError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            for watch in group.watches():
                nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked()
            group._workers[2].kill()
            await trio.sleep_forever()


async def test_a_group_whose_run_was_cancelled_is_of_no_more_use(group: RankGroup) -> None:
    await group.ready()
    with trio.CancelScope() as scope:
        scope.cancel()
        await group.run("add", 1)
    with pytest.raises(WorkerError, match="out of step"):
        group.submit("add", 1)
