"""A group of ranks: worker processes that run the same passes together, each as one rank.

The processes share one block of memory. Ranks meet twice a time step or so, which no operating system's wake-up is
fast enough for: a rank that waits looks at the counters of the others again and again. Between jobs a worker looks
for `PATIENCE` seconds, then sleeps until its pipe wakes it; an idle group costs nothing. Rank 0 writes its result to a
pipe, so whoever waits for a group can wait for much else as well. A worker ends when its pipe does, and the kernel ends
it with the trainer, so none outlives that.

What a group computes is up to a *member*: an object that every rank makes from the same arguments, by the same
class, in the same memory, and whose methods are passes (see `recurrio.core.base.ranks`).
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import perf_counter, sleep
from types import TracebackType
from typing import Any, ClassVar, Protocol

import numpy as np
import threadpoolctl
import trio

from ...core.base.arena import Arena
from ...core.base.parameters import Array
from ...core.base.ranks import Pass, Rank
from ..flow.worker_process import WorkerError, end_with, start_worker
from .shared_memory import SharedMemory, attach, nameless_file

__all__ = ["GroupMember", "RankGroup", "lay_out_counters", "worker"]

PATIENCE = 0.002  # seconds
SUSPENDED = 20_000  # looks, some ten milliseconds: the other rank is not computing at all
LOOKS = 200  # at the counters, before the processor is offered to somebody else
START = "from recurrio.pipeline.executors.rank_group import worker; worker()"
JOB = struct.Struct("8d")  # the number of the pass among the member's, and its arguments
RESULT = struct.Struct("d")


class GroupMember(Protocol):
    """What a rank does. `passes` are the names of its passes, which take numbers and return one, or None.

    The `arena` that a member is made with begins in the whole `memory` after what the group itself needs.
    """

    passes: ClassVar[tuple[str, ...]]

    def __init__(self, arguments: dict[str, Any], rank: Rank, arena: Arena, memory: Array) -> None: ...


def lay_out_counters(arena: Arena, ranks: int) -> Array:
    """What `ranks` meet by: one cache line each, and one for the number of jobs. It comes first in a group's memory."""
    return arena.zeros((ranks + 1, 8), np.dtype(np.int64))


class _Meeting:
    """The counters of all ranks, one a cache line: how often each has come to where the ranks meet."""

    def __init__(self, arena: Arena, rank: Rank) -> None:
        counters = lay_out_counters(arena, rank.count)
        self.jobs = counters[rank.count]  # the first is how many jobs there have been
        self._counters = counters[: rank.count].data.cast("B").cast("q")
        self._own = 8 * rank.index
        self._others = [place for place in range(0, len(self._counters), 8) if place != self._own]
        self._arrived = 0

    @np.errstate(over="ignore", invalid="ignore")
    def run(self, one: Pass[Any]) -> Any:  # noqa: ANN401 (what the pass returns)
        """Run a pass to its end, meeting the other ranks wherever it yields."""
        counters, own, others, arrived = self._counters, self._own, self._others, self._arrived
        while True:
            try:
                next(one)
            except StopIteration as stop:
                self._arrived = arrived
                return stop.value
            arrived += 1
            counters[own] = arrived
            for other in others:
                looks = 0
                while counters[other] < arrived:
                    looks += 1
                    if looks > LOOKS:
                        os.sched_yield()
                        if looks > SUSPENDED:
                            sleep(0.001)


class RankGroup:
    """`ranks` worker processes, with members of the class `make` made from `arguments`, which go through JSON.

    What they share begins at `start` in `memory`, and ``arena`` is where that of the members begins. A group does one
    job at a time: `submit` it, and take its `result` when ``fd`` is readable; or `run` it.

    The thread that makes a group has to outlive it: the kernel ends the workers when that thread ends.
    """

    @trio.lowlevel.enable_ki_protection
    def __init__(
        self,
        make: type[GroupMember],
        arguments: dict[str, Any],
        memory: SharedMemory,
        start: int = 0,
        *,
        ranks: int,
        blas_threads: int = 1,
    ) -> None:
        self.arena = Arena(memory.array, start)
        self._jobs = _Meeting(self.arena, Rank(0, ranks)).jobs
        memory.array[start : self.arena.size] = 0  # the memory may have been another group's
        self._passes, self._failed = make.passes, False
        self._workers: list[subprocess.Popen[bytes]] = []
        self._replies: list[int] = []
        plan = [make.__module__, make.__name__, arguments, memory.fd, len(memory.array), start, ranks, blas_threads]
        with nameless_file(json.dumps(plan).encode()) as plan_fd:
            try:
                for index in range(ranks):
                    self._start(index, plan_fd, memory.fd, blas_threads)
            except BaseException:
                self.close()
                raise
        self.fd = self._replies[0]

    def _start(self, index: int, plan: int, memory: int, blas_threads: int) -> None:
        reply, send_reply = os.pipe()
        self._replies.append(reply)
        try:
            worker = start_worker(START, [index, plan, send_reply], [memory, plan, send_reply], blas_threads)
        finally:
            os.close(send_reply)
        self._workers.append(worker)

    async def ready(self) -> None:
        """Wait until all workers have started. Raises WorkerError where one cannot."""
        for worker, reply in zip(self._workers, self._replies, strict=True):
            await trio.lowlevel.wait_readable(reply)
            if os.read(reply, 1) != b"r":
                worker.kill()
                raise WorkerError(f"a worker process could not start (exit code {worker.wait()})")

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """End the workers. They hold nothing that is not in the shared memory."""
        while self._replies:
            os.close(self._replies.pop())
        for worker in self._workers:
            worker.kill()
            assert worker.stdin is not None
            worker.stdin.close()
        for worker in self._workers:  # last: it takes time, and an interrupt of it leaves nothing open
            worker.wait()

    def __enter__(self) -> RankGroup:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def submit(self, name: str, *arguments: float) -> None:
        """Start the pass `name`, one of ``make.passes``, on all ranks. Raises WorkerError."""
        if self._failed:
            raise WorkerError("a pass has not come to its end, and the ranks may be out of step")
        self._failed = True  # until this one has ended well
        job = [self._passes.index(name), *arguments]
        message = JOB.pack(*job, *[0] * (8 - len(job)))
        self._jobs[0] += 1  # it is what the workers look at
        for worker in self._workers:
            try:
                assert worker.stdin is not None
                worker.stdin.write(message)
            except BrokenPipeError:
                raise self._ended(worker) from None

    def result(self) -> float:
        """Wait for the end of the pass: what it returned on rank 0. Raises WorkerError."""
        message = os.read(self.fd, RESULT.size)
        if not message:
            raise self._ended(self._workers[0])
        self._failed = False
        return float(RESULT.unpack(message)[0])

    async def run(self, name: str, *arguments: float) -> float:
        """`submit`, and `result` without holding up the event loop. A group whose run was cancelled is no more use."""
        self.submit(name, *arguments)
        await trio.lowlevel.wait_readable(self.fd)
        return self.result()

    def watches(self) -> list[Callable[[], Awaitable[None]]]:
        """Tasks that raise WorkerError when a worker other than rank 0 ends, which rank 0 would wait for forever."""
        workers = zip(self._workers[1:], self._replies[1:], strict=True)
        return [partial(self._watch, worker, reply) for worker, reply in workers]

    async def _watch(self, worker: subprocess.Popen[bytes], reply: int) -> None:
        await trio.lowlevel.wait_readable(reply)
        raise self._ended(worker)

    def _ended(self, worker: subprocess.Popen[bytes]) -> WorkerError:
        return WorkerError(f"a worker process has ended (exit code {worker.wait()})")


def worker() -> None:
    """The main function of a worker process: do the jobs that come until the pipe ends."""
    index, plan, replies, parent = map(int, sys.argv[1:])
    end_with(parent)
    with open(f"/proc/self/fd/{plan}", "rb") as file:
        module, name, arguments, fd, size, start, ranks, blas_threads = json.load(file)
    threadpoolctl.threadpool_limits(blas_threads, user_api="blas")  # the environment's number has a limit
    memory, rank = attach(fd, size), Rank(index, ranks)
    arena = Arena(memory, start)
    meeting = _Meeting(arena, rank)
    member = getattr(importlib.import_module(module), name)(arguments, rank, arena, memory)
    with suppress(BrokenPipeError):  # the trainer closes the group; the pipe of the jobs will tell
        os.write(replies, b"r")
    number = 0
    while True:
        number += 1
        until = perf_counter() + PATIENCE
        while meeting.jobs[0] < number and perf_counter() < until:
            os.sched_yield()
        message = os.read(0, JOB.size)
        if not message:
            return
        job, *numbers = JOB.unpack(message)
        result = meeting.run(getattr(member, member.passes[int(job)])(*numbers))
        if index == 0:
            with suppress(BrokenPipeError):
                os.write(replies, RESULT.pack(result or 0.0))
