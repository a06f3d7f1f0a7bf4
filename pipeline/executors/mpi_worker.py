"""The ranks behind rank 0: each is the place of one shard in one run after the other, until rank 0 leaves.

A worker reads nothing, prints nothing and opens no file. What goes wrong in a run it tells rank 0, and is ready for the
next one; where rank 0 does not answer any more, it ends the job, or at least itself.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from time import perf_counter, sleep
from typing import Any, NamedTuple, NoReturn

import numpy as np
import trio

from ...core import serial
from ...core.base.arena import Arena
from ...core.base.blas import blas_threads
from ...core.model.batch import SequenceBatch
from ...core.model.run_memory import RunMemory
from ...core.model.sequence_model import SequenceModel
from ...core.model.shard import Shard
from ...core.optim.optimizers import SGD
from ...core.seq2seq.table import model_from_config
from ..checkpoint.fingerprint import fingerprint
from ..flow.group import Group, open_group
from ..launch import first_on_host
from .mpi_job import BYE, JOB, NoMPIError, rank_and_host, world
from .mpi_link import Link
from .mpi_states import ShardStates
from .mpi_ways import worker_way

__all__ = ["BEAT", "ERROR", "FORWARDED", "HELLO", "READY", "RECURRED", "Session", "arithmetic", "serve"]

BEAT, HELLO, READY, FORWARDED, RECURRED, ERROR = range(4, 10)  # tags
TURN = 3.0  # seconds that the first rank of a host has to say what is missing there
SAVING = 3600.0  # seconds that rank 0 has to save what there is, and to end the job, where others do not answer
LONGEST = 0.005  # seconds between two looks of a worker that has nothing to do


class Session(NamedTuple):
    """What a worker is told when a run begins: which shard of how many, of what, and who takes part.

    ``patience`` is for how many seconds nothing may come from the trainer, who sends a beat more often than that.
    """

    shard: int
    widths: list[int]
    model: dict[str, Any]
    steps: int
    counts: dict[str, Any]
    seed: int
    blas_threads: int
    patience: float
    peers: list[int]  # besides rank 0: those that it exchanges something with


def arithmetic(threads: int) -> dict[str, str]:
    """What the last bits depend on, by name, and the digest of a small gradient, in which more of that shows."""
    with blas_threads(threads):
        return {"recurrio": version("recurrio"), **fingerprint(threads), "gradient": _small_gradient(threads)}


@cache
def _small_gradient(threads: int) -> str:
    model, rng = SequenceModel(31, embedding_size=24, hidden_size=48, seed=1), np.random.default_rng(1)
    tokens = rng.integers(0, 31, (2, 8, 16))
    list(serial.train(model, SGD(1.0), [SequenceBatch(*tokens)], blas_threads=threads))
    return sha256(model.parameters.tobytes()).hexdigest()[:16]


def serve() -> NoReturn:
    """Compute for rank 0 until it leaves, and end the process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # while MPI begins, no handler of Python's would be called
    try:
        comm = world()
        if not comm.Get_rank():  # each is alone: mpiexec is of another MPI, as rank 0 says
            os._exit(2)
    except NoMPIError as error:
        if not first_on_host():
            sleep(TURN)
            os._exit(2)
        os.write(2, f"recurrio: {rank_and_host()}: executor: 'mpi' cannot be used here: {error}\n".encode())
        os.kill(os.getpid(), signal.SIGTERM)  # the others wait, and no mpiexec minds an exit code so early
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for rank 0, which ends the job
        signal.signal(number, signal.SIG_IGN)
    try:
        worker = _Worker(comm)
        trio.run(worker.serve)
        from mpi4py import MPI

        MPI.Finalize()
    except BaseException as error:
        _give_up(comm, f"{type(error).__name__}: {error}")
    sys.exit(0)  # see `leave`


def _give_up(comm: Any, why: str) -> NoReturn:  # noqa: ANN401 (MPI's)
    os.write(2, f"recurrio: {rank_and_host()}: {why}\n".encode())
    comm.Abort(1)
    os._exit(1)


class _Worker:
    """A worker between and in its sessions."""

    def __init__(self, comm: Any) -> None:  # noqa: ANN401 (MPI's)
        self._comm, self._patience = comm, math.inf
        self._heard = self._looked = perf_counter()
        self._link = Link(comm, LONGEST, self._glance)

    def _glance(self) -> None:
        """End the job if there has been nothing of rank 0 for too long; a pass, or a sleep of all, does not count."""
        now = perf_counter()
        if now - self._looked > self._patience / 4 or self._comm.iprobe(0, BEAT):
            self._heard = now
        while self._comm.iprobe(0, BEAT):
            self._comm.recv(source=0, tag=BEAT)
        self._looked = now
        if now - self._heard > self._patience:
            _give_up(self._comm, f"has heard nothing of rank 0 for {self._patience:g} s")

    async def serve(self) -> None:
        """Take part in one run after the other."""
        link = self._link
        while (job := await link.receive(0, JOB))[0] != "leave":
            session = Session(*job[1])
            self._patience, self._heard = session.patience, perf_counter()
            await self._take_part(session)
            if not link.finish([0, *session.peers], SAVING):
                _give_up(self._comm, "other ranks do not answer any more, and rank 0 has not ended the job")
            self._patience = math.inf
        link.send(0, BYE, None)

    async def _take_part(self, session: Session) -> None:
        """Do what comes until the run ends, be it in the middle of a wait for something that now will not come."""
        put_on, jobs = trio.open_memory_channel[tuple[Any, ...]](math.inf)
        async with open_group() as group:
            group.start_background(self._compute, session, jobs)
            while (job := await self._link.receive(0, JOB))[0] != "close":
                put_on.send_nowait(job)

    async def _compute(self, session: Session, jobs: trio.MemoryReceiveChannel[tuple[Any, ...]]) -> None:
        try:
            self._link.send(0, HELLO, arithmetic(session.blas_threads))
            await jobs.receive()  # so it is as it should be
            with blas_threads(session.blas_threads), np.errstate(over="ignore", invalid="ignore"):
                async with open_group() as group:
                    place = _Passes(self._link, session, group)
                    self._link.send(0, READY, None)
                    await place.serve(jobs)
        except Exception as error:
            self._link.send(0, ERROR, f"{rank_and_host()}: {type(error).__name__}: {error}")


class _Passes:
    """The passes of one shard, in the order in which they are asked for."""

    def __init__(self, link: Link, session: Session, group: Group) -> None:
        model = model_from_config(session.model)
        widths, shard = session.widths, session.shard
        memory = RunMemory(model, widths, **session.counts, arena=Arena())
        self._link, self._states = link, ShardStates(memory, shard)
        self._shard = Shard(model, session.steps, widths[shard], memory, shard, session.seed)
        self._way = worker_way(link, memory, shard, group)

    async def serve(self, jobs: trio.MemoryReceiveChannel[tuple[Any, ...]]) -> None:
        """Do what comes."""
        passes: dict[str, Callable[..., Awaitable[None]]] = {
            "forward": self._forward,
            "backward": self._backward,
            "recurrence": self._recurrence,
            "weight_gradient": self._weight_gradient,
        }
        async for name, *arguments in jobs:
            await passes[name](*arguments)

    async def _forward(
        self,
        workspace: int,
        row: int,
        is_new: bool,
        number: int,
        batch: SequenceBatch,
        before: Any,  # noqa: ANN401 (of `ShardStates.all_before`; None where they are here)
    ) -> None:
        if is_new:
            await self._way.receive_version(row)
        if before is not None:
            self._states.put_all(number, before)
        loss = self._shard.forward(workspace, row, number, batch)
        self._link.send(0, FORWARDED, (loss, self._states.after(number, batch)))

    async def _backward(self, workspace: int, slot: int, scale: float) -> None:
        self._shard.backward(workspace, scale)
        self._way.send_gradient(workspace, slot)

    async def _recurrence(self, workspace: int, scale: float) -> None:
        self._shard.backward(workspace, scale, whole=False)
        self._link.send(0, RECURRED, None)

    async def _weight_gradient(self, workspace: int, slot: int) -> None:
        self._shard.weight_gradient(workspace)
        self._way.send_gradient(workspace, slot)
