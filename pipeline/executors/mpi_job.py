"""The MPI job that this process is in: whether there is one, who is in it, and how it ends.

Rank 0 trains, and rank m + 1 is the place of shard m. MPI begins with the first call of `world`, and a job ends by
`leave` of rank 0: in good order, or, where some ranks do not answer, by MPI's abort, which ends whom it reaches.
"""

from __future__ import annotations

import atexit
import socket
import sys
from functools import cache
from importlib.util import find_spec
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

from ..launch import launched_rank

if TYPE_CHECKING:
    from mpi4py import MPI

__all__ = ["BYE", "JOB", "NoMPIError", "leave", "lose", "obstacle", "rank_and_host", "world"]

JOB, BYE = 1, 2  # tags: what a worker is to do, and that it ends
PATIENCE = 10.0  # seconds that the others have to end
HAND_ON = 0.5  # seconds that mpiexec has to hand on what was said, which an abort would cut off
START = "mpiexec -n {} recurrio train … --executor mpi"
MISSING = "it takes mpi4py: pip install 'recurrio[mpi]' mpich"
LIBRARY = "an MPI library that mpi4py finds, as pip install mpich brings one"

_lost: list[str] = []  # why no further run can use the workers


class NoMPIError(RuntimeError):
    """There is no MPI here."""


@cache
def world() -> MPI.Intracomm:
    """All ranks; MPI has been begun. Waits for the others to begin. Raises NoMPIError."""
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        if find_spec("mpi4py") is None:
            raise NoMPIError(MISSING) from None
        raise NoMPIError(f"it takes {LIBRARY} ({str(error).splitlines()[0]})") from None
    atexit.register(_leave_at_exit)
    return MPI.COMM_WORLD


def obstacle(shards: int) -> str | None:
    """Why so many shards cannot be computed by the ranks of this job; None where they can."""
    rank, start = launched_rank(), START.format(shards + 1)
    if rank is None:
        return f"start it by {start}" if find_spec("mpi4py") else f"{MISSING}; then {start}"
    try:
        comm = world()
    except NoMPIError as error:
        return str(error)
    if rank:
        return (
            f"this is rank {rank} of the job, which is to compute for rank 0: write --executor mpi on the command line "
            "itself, or in a program call recurrio.pipeline.executors.mpi.serve_if_worker() before anything else"
        )
    if comm.Get_size() <= shards:
        said = f"{shards} shards take {shards + 1} ranks, and there are {comm.Get_size()}: {start}"
        return said if comm.Get_size() > 1 else f"{said}, of the same MPI as mpi4py's, which is {_library()}"
    return _lost[0] if _lost else None


def _library() -> str:
    from mpi4py import MPI

    name, version = MPI.get_vendor()
    return f"{name} {'.'.join(map(str, version))}"


def rank_and_host() -> str:
    """What this rank is called in messages."""
    return f"rank {launched_rank()} on {socket.gethostname()}"


def lose(why: str) -> None:
    """Note that some of the workers do not answer any more: no run can use them, and the job cannot end well."""
    _lost.append(why)


def leave() -> None:
    """End the job, of which this is rank 0. Twice is once.

    The process is then to end by itself: MPICH has something to do at its exit, else mpiexec takes it for dead.
    """
    try:
        comm = world()  # the others wait for it
    except NoMPIError:
        return
    from mpi4py import MPI

    if MPI.Is_finalized():
        return
    if _lost or not _say_goodbye(comm):
        sys.stdout.flush()
        sys.stderr.flush()
        sleep(HAND_ON)
        comm.Abort(1)
    MPI.Finalize()


def _say_goodbye(comm: Any) -> bool:  # noqa: ANN401 (the stubs have many overloads)
    """Let the workers end; whether all will."""
    left, until = set(range(1, comm.Get_size())), perf_counter() + PATIENCE
    sent = [comm.isend(("leave",), rank, JOB) for rank in left]
    while left and perf_counter() < until:
        for rank in [rank for rank in left if comm.iprobe(rank, BYE)]:
            comm.recv(source=rank, tag=BYE)
            left.discard(rank)
        sleep(0.0001)
    for request in sent if not left else ():
        request.wait()
    return not left


def _leave_at_exit() -> None:
    if not launched_rank():
        leave()
