"""A shard whose ranks compute at once: rank 0 here, each other rank in a process of its own.

The processes share one block of memory: parameter versions, gradients, and what the ranks read of each other. They
meet twice a time step or so, which no operating system's wake-up is fast enough for: a rank that waits looks at
the counters of the others again and again. Between jobs a worker looks for `PATIENCE` seconds, then sleeps until
its pipe wakes it; an idle trainer costs nothing. A worker ends when its pipe does, so none outlives the trainer.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter, sleep
from types import TracebackType
from typing import NamedTuple

import numpy as np

from ..core.batch import SequenceBatch
from ..core.model import SequenceModel
from ..core.network import Network
from ..core.parameters import Array
from ..core.ranks import ALIGNMENT, Arena, Pass, Rank
from ..core.shard import Member, arena_bytes

__all__ = ["Crew", "Crews", "WorkerError", "supported", "worker"]

PATIENCE = 0.002  # seconds
SUSPENDED = 20_000  # looks, some ten milliseconds: the other rank is not computing at all
LOOKS = 200  # at the counters, before the processor is offered to somebody else
START = "from recurrio.pipeline.crew import worker; worker()"


def supported() -> bool:
    """Whether ranks can meet here: it takes anonymous shared memory, and a processor that keeps stores in order."""
    return hasattr(os, "memfd_create") and platform.machine() in ("x86_64", "AMD64")


class WorkerError(RuntimeError):
    """A worker process has ended while it was needed."""


def _map(fd: int, size: int) -> Array:
    return np.frombuffer(mmap.mmap(fd, size), np.uint8)


class Plan(NamedTuple):
    """What a worker needs to know. The three places are offsets in the shared memory, of `size` bytes behind `fd`."""

    fd: int
    size: int
    parameters: int
    gradients: int
    crew: int
    model: dict[str, object]
    steps: int
    lanes: int
    ranks: int
    slots: int
    workspaces: int
    seed: tuple[int, ...]


class _Post:
    """The arrays that a crew shares besides those of the computation, in the order of the arena."""

    def __init__(self, arena: Arena, plan: Plan, network: Network) -> None:
        integer = np.dtype(np.int64)
        self.counters = arena.zeros((plan.ranks, 8), integer).data.cast("B").cast("q")
        self.job = arena.zeros((7,), integer)  # number, forward?, workspace, slot, reset all?, reset some?, lengths?
        self.scale = arena.zeros((1,), np.dtype(np.float64))
        self.batch = {name: arena.zeros(*array) for name, array in network.arrays(plan.steps, plan.lanes).items()}

    def write(self, batch: SequenceBatch) -> tuple[bool, bool, bool]:
        """Put `batch` into the shared memory; what there is of it beside inputs and targets, for the job."""
        self.batch["inputs"][...], self.batch["targets"][...] = batch.inputs, batch.targets
        some = not isinstance(batch.reset, bool)
        if some:
            self.batch["reset"][...] = batch.reset
        if batch.lengths is not None:
            self.batch["lengths"][...] = batch.lengths
        return batch.reset is True, some, batch.lengths is not None

    def read(self, reset_all: bool, reset_some: bool, with_lengths: bool) -> SequenceBatch:
        """The batch that `write` has put there."""
        reset = self.batch["reset"] if reset_some else reset_all
        lengths = self.batch["lengths"] if with_lengths else None
        return SequenceBatch(self.batch["inputs"], self.batch["targets"], reset, lengths)


class Crew:
    """Computes one shard with several ranks; the calls are those of `recurrio.core.shard.Shard`."""

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: int,
        parameters: Array,
        gradients: Array,
        arena: Arena,
        fd: int,
        memory: Array,
        blas_threads: int,
        seed: tuple[int, ...] = (),
    ) -> None:
        ranks, workspaces = gradients.shape[:2]
        plan = Plan(
            fd=fd,
            size=len(memory),
            parameters=parameters.ctypes.data - memory.ctypes.data,
            gradients=gradients.ctypes.data - memory.ctypes.data,
            crew=arena.size,
            model=model.config,
            steps=steps,
            lanes=lanes,
            ranks=ranks,
            slots=len(parameters),
            workspaces=workspaces,
            seed=seed,
        )
        self._post = _Post(arena, plan, model.network)
        self._member = Member(model, steps, lanes, parameters, gradients[0], Rank(0, ranks), arena, seed)
        self._arrived = 0
        self._one_at_a_time = threading.Lock()  # forward and backward may come from two threads
        threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(blas_threads))
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self._workers: list[subprocess.Popen[bytes]] = []
        for rank in range(1, ranks):
            self._workers.append(
                subprocess.Popen(
                    [sys.executable, "-P", "-c", START, str(rank), json.dumps(plan)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                    pass_fds=[fd],
                    env={**os.environ, **threads, "PYTHONPATH": path},
                    start_new_session=True,  # Ctrl-C is for the trainer, which then closes the pipe
                )
            )

    def ready(self) -> None:
        """Wait until all workers have started. Raises WorkerError where one cannot."""
        for worker in self._workers:
            assert worker.stdout is not None
            if worker.stdout.read(1) != b"r":
                raise WorkerError(f"a worker process could not start (exit code {worker.wait()})")

    def close(self) -> None:
        """End the workers. They hold nothing that is not in the shared memory."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.wait()
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                pipe.close()

    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """See `recurrio.core.shard.Member.forward`."""
        with self._one_at_a_time:
            self._send(True, workspace, slot, *self._post.write(batch))
            return self._run(self._member.forward(workspace, slot, batch))

    def backward(self, workspace: int, scale: float) -> None:
        """See `recurrio.core.shard.Member.backward`."""
        with self._one_at_a_time:
            self._post.scale[0] = scale
            self._send(False, workspace, 0, False, False, False)
            self._run(self._member.backward(workspace, scale))

    def _send(self, forward: bool, workspace: int, slot: int, *batch: bool) -> None:
        post = self._post
        post.job[1:] = forward, workspace, slot, *batch
        post.job[0] += 1  # last: it is what the workers look at
        for worker in self._workers:
            assert worker.stdin is not None
            try:
                worker.stdin.write(b"j")
            except BrokenPipeError:
                raise WorkerError(f"a worker process has ended (exit code {worker.wait()})") from None

    def _run(self, one: Pass[float] | Pass[None]) -> float:
        result, self._arrived = _run(one, self._post, 0, self._arrived, self._check)
        return result

    def _check(self) -> None:
        for worker in self._workers:
            if worker.poll() is not None:
                raise WorkerError(f"a worker process has ended (exit code {worker.returncode})")


@np.errstate(over="ignore", invalid="ignore")
def _run(
    one: Pass[float] | Pass[None], post: _Post, rank: int, arrived: int, check: Callable[[], None]
) -> tuple[float, int]:
    """Run a pass to its end, meeting the other ranks wherever it yields; return its result, and the meetings so far."""
    counters, own = post.counters, 8 * rank
    others = [place for place in range(0, len(counters), 8) if place != own]
    while True:
        try:
            next(one)
        except StopIteration as stop:
            return stop.value or 0.0, arrived
        arrived += 1
        counters[own] = arrived
        for other in others:
            looks = 0
            while counters[other] < arrived:
                looks += 1
                if looks > LOOKS:
                    os.sched_yield()
                    if looks % 1000 == 0:
                        check()
                        if looks > SUSPENDED:
                            sleep(0.001)


class Crews:
    """The crews of all shards of a run and the memory that they share; a context manager that ends them.

    ``parameters`` ``(slots, size)`` and, for each shard, ``gradients`` ``(ranks, workspaces, size)`` are in it.
    """

    def __init__(
        self,
        model: SequenceModel,
        steps: int,
        lanes: list[int],
        *,
        ranks: int,
        slots: int,
        workspaces: int,
        blas_threads: int = 1,
        seed: int = 0,
    ) -> None:
        vectors = slots + len(lanes) * ranks * workspaces
        size = vectors * (model.layout.size * model.dtype.itemsize + ALIGNMENT)
        for count in lanes:
            size += arena_bytes(model, steps, count, ranks, workspaces)
            size += (3 + ranks) * ALIGNMENT
            for shape, dtype in model.network.arrays(steps, count).values():
                size += math.prod(shape) * dtype.itemsize + ALIGNMENT
        self._fd = os.memfd_create("recurrio")
        self.crews: list[Crew] = []
        try:
            os.truncate(self._fd, size)
            memory = _map(self._fd, size)
            arena = Arena(memory)
            self.parameters = arena.zeros((slots, model.layout.size), model.dtype)
            self.gradients = [arena.zeros((ranks, workspaces, model.layout.size), model.dtype) for _ in lanes]
            for index, (count, gradients) in enumerate(zip(lanes, self.gradients, strict=True)):
                about = (arena, self._fd, memory, blas_threads, (seed, index))
                self.crews.append(Crew(model, steps, count, self.parameters, gradients, *about))
        except BaseException:
            for crew in self.crews:
                crew.close()
            os.close(self._fd)
            raise

    def __enter__(self) -> Crews:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for crew in self.crews:
            crew.close()
        os.close(self._fd)

    def ready(self) -> None:
        """Wait until all workers have started. Raises WorkerError where one cannot."""
        for crew in self.crews:
            crew.ready()


def worker() -> None:
    """The main function of a worker process: do the jobs that come until the pipe ends."""
    rank, plan = int(sys.argv[1]), Plan(*json.loads(sys.argv[2]))
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever else prints goes to standard error
    model = SequenceModel(**plan.model, seed=None)  # type: ignore[arg-type]  # it went through JSON
    memory, size = _map(plan.fd, plan.size), model.layout.size
    parameters = Arena(memory, plan.parameters).zeros((plan.slots, size), model.dtype)
    gradients = Arena(memory, plan.gradients).zeros((plan.ranks, plan.workspaces, size), model.dtype)[rank]
    arena = Arena(memory, plan.crew)
    post = _Post(arena, plan, model.network)
    member = Member(model, plan.steps, plan.lanes, parameters, gradients, Rank(rank, plan.ranks), arena, plan.seed)
    parent = os.getppid()

    def check() -> None:
        if os.getppid() != parent:
            os._exit(1)

    with suppress(BrokenPipeError):  # the trainer has gone already; the pipe of the jobs will tell
        os.write(replies, b"r")
    number = arrived = 0
    while True:
        number += 1
        until = perf_counter() + PATIENCE
        while post.job[0] < number and perf_counter() < until:
            os.sched_yield()
        if not os.read(0, 1):
            return
        forward, workspace, slot, *about = (int(value) for value in post.job[1:])
        one: Pass[float] | Pass[None]
        if forward:
            one = member.forward(workspace, slot, post.read(*map(bool, about)))
        else:
            one = member.backward(workspace, float(post.scale[0]))
        _, arrived = _run(one, post, rank, arrived, check)
