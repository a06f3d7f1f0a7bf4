"""The MPI executor: the places of the shards are other processes of an MPI job, on this machine or on others.

Rank 0 trains, and rank m + 1 is the place of shard m; see `recurrio.pipeline.executors.mpi_worker`. The memory of a run
is that of rank 0, as with the other executors. The parameters go out when a version is new at a place, and the
gradients come back straight into that memory, see `recurrio.pipeline.executors.mpi_ways`, as the hidden states do. What
is added up is added up in the order of the shards, so the bits are those of the serial loop.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, ClassVar

import trio

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.model.run_memory import RunMemory
from ..checkpoint.fingerprint import differences
from ..flow.worker_process import WorkerError
from ..launch import launched_rank
from ..plan.messages import Ticket
from ..plan.plan import Plan
from .executor import Work
from .mpi_job import JOB, NoMPIError, lose, obstacle, world
from .mpi_link import Link
from .mpi_states import ShardStates
from .mpi_ways import MANY, TrainerWay, trainer_way
from .mpi_worker import BEAT, ERROR, FORWARDED, HELLO, READY, RECURRED, Session, arithmetic, serve
from .place import Place

__all__ = ["MPIExecutor", "MPIPlace", "serve_if_worker"]

LONGEST = 0.001  # seconds that the event loop sleeps between two looks
BEATS, QUIET = 4, 4  # in the time of the watchdog; and how many times that a worker may hear nothing, as at a slow disk
MOST_BETWEEN, MOST_GRACE = 10.0, 30.0  # seconds between two beats, and that the workers have to end a run


def serve_if_worker() -> None:
    """Compute for rank 0 where this is another rank of an MPI job, and end the process when that has ended.

    For programs that train with the executor ``"mpi"``: call it before anything else, in all ranks. In rank 0, and
    where mpiexec has not started the program, it does nothing.
    """
    if launched_rank():
        serve()
    elif launched_rank() is not None:
        with suppress(NoMPIError):
            world()  # so the others end, whatever becomes of this one


@contextmanager
def _as_worker_error() -> Iterator[None]:
    """What MPI says, as of Open MPI where a rank has died, is an error of the run."""
    from mpi4py import MPI

    try:
        yield
    except MPI.Exception as error:
        raise WorkerError(f"MPI: {error.Get_error_string()}: a rank has ended, or cannot be reached") from None


def _glance(comm: Any) -> None:  # noqa: ANN401 (MPI's)
    """Raise what a worker has to say."""
    if comm.iprobe(tag=ERROR):
        raise WorkerError(comm.recv(tag=ERROR))


class MPIPlace:
    """Computes one shard in the rank behind it; a `Place`."""

    def __init__(self, link: Link, shard: int, memory: RunMemory, way: TrainerWay) -> None:
        self._link, self._shard, self._rank, self._way = link, shard, shard + 1, way
        self._states, self._slots = ShardStates(memory, shard), memory.gradients[shard].shape[1]
        self._there: dict[int, int] = {}  # by row, the version that the worker has

    async def forward(self, ticket: Ticket, version_row: int, batch: SequenceBatch) -> float:
        """See `Place`."""
        number, is_new = ticket.batch_number, self._there.get(version_row) != ticket.version
        before = None if self._there else self._states.all_before(number)
        with _as_worker_error():
            self._ask("forward", ticket.workspace, version_row, is_new, number, batch, before)
            if is_new:
                self._way.send_version(self._shard, version_row)
            loss, after = await self._link.receive(self._rank, FORWARDED)
        self._there[version_row] = ticket.version
        self._states.put_after(number, batch, after)
        return float(loss)

    async def backward(self, ticket: Ticket) -> Array:
        """See `Place`."""
        return await self._gradient(ticket, "backward", 1 / ticket.total)

    async def recurrence(self, ticket: Ticket) -> None:
        """See `Place`."""
        with _as_worker_error():
            self._ask("recurrence", ticket.workspace, 1 / ticket.total)
            await self._link.receive(self._rank, RECURRED)

    async def weight_gradient(self, ticket: Ticket) -> Array:
        """See `Place`."""
        return await self._gradient(ticket, "weight_gradient")

    async def _gradient(self, ticket: Ticket, name: str, *scale: float) -> Array:
        with _as_worker_error():
            requests, gradient = self._way.receive_gradient(ticket)
            self._ask(name, ticket.workspace, ticket.batch_number % self._slots, *scale)
            await self._link.done(requests)
        return gradient

    def _ask(self, *job: Any) -> None:  # noqa: ANN401 (what the pass takes)
        self._link.send(self._rank, JOB, job)

    def give_up(self) -> None:
        """See `Place`; a wait for a worker can be cancelled."""


class MPIExecutor:
    """See `Executor`."""

    name: ClassVar[str] = "mpi"
    holds_up_the_loop: ClassVar[bool] = False
    starts_slowly: ClassVar[bool] = True

    @staticmethod
    def refuses(plan: Plan) -> str | None:
        """See `Executor`."""
        return obstacle(plan.shards)

    @staticmethod
    def workers(plan: Plan) -> int:
        """See `Executor`."""
        return plan.shards

    def __init__(self, work: Work) -> None:
        plan, state = work.plan, work.state
        if (why := obstacle(plan.shards)) is not None:  # since the trainer was made
            raise WorkerError(why)
        comm = world()
        self._ranks, self._opened = range(1, plan.shards + 1), False
        self._patience = math.inf if plan.watchdog is None else plan.watchdog
        self.memory = state.memory(plan.workspaces())
        self._link = link = Link(comm, LONGEST, partial(_glance, comm))
        way = trainer_way(link, self.memory)
        self.places: Sequence[Place] = [MPIPlace(link, shard, self.memory, way) for shard in range(plan.shards)]
        self._sessions = [
            Session(
                shard=rank - 1,
                widths=state.widths,
                model=state.model.config,
                steps=work.steps,
                counts=state.counts(plan.workspaces()),
                seed=state.seed,
                blas_threads=plan.blas_threads,
                patience=QUIET * self._patience,
                peers=[other for other in self._ranks if other != rank] if plan.shards >= MANY else [],
            )
            for rank in self._ranks
        ]

    async def ready(self) -> None:
        """See `Executor`. Raises WorkerError where a worker would not compute the same bits, or cannot begin."""
        link, mine = self._link, arithmetic(self._sessions[0].blas_threads)
        self._opened = True
        with _as_worker_error():
            for rank, session in zip(self._ranks, self._sessions, strict=True):
                link.send(rank, JOB, ("open", tuple(session)))
            for rank in self._ranks:
                if other := differences(mine, await link.receive(rank, HELLO)):
                    raise WorkerError(f"rank {rank} would not compute the bits of rank 0: there {'; '.join(other)}")
            for rank in self._ranks:
                link.send(rank, JOB, ("begin",))
            for rank in self._ranks:
                await link.receive(rank, READY)

    def watches(self) -> Sequence[Callable[[], Awaitable[None]]]:
        """See `Executor`. What a worker has to say is heard where it is waited for; it has to hear something, too."""
        return [] if self._patience == math.inf else [self._beat]

    async def _beat(self) -> None:
        while True:
            for rank in self._ranks:
                self._link.send(rank, BEAT, None)
            await trio.sleep(min(MOST_BETWEEN, self._patience / BEATS))

    def close(self) -> None:
        """See `Executor`. The workers stay, for another run; where they do not answer, there can be none."""
        if not self._opened:
            return
        self._opened = False
        try:
            with _as_worker_error():
                for rank in self._ranks:
                    self._link.send(rank, JOB, ("close",))
                if not self._link.finish(self._ranks, min(MOST_GRACE, self._patience)):
                    raise WorkerError("some ranks do not answer any more")
        except WorkerError as error:
            lose(f"{error}, since an earlier run")

    def release(self) -> None:
        """See `Executor`."""
