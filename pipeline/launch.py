"""Which rank of an MPI job this process is, as the program that has started it says in the environment.

This module imports next to nothing: the command asks it before it does anything else.
"""

from __future__ import annotations

import os

__all__ = ["first_on_host", "launched_rank"]

# Of MPICH, Intel MPI and Slurm; of whatever speaks PMIx; of Open MPI.
RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
RANKS_ON_HOST = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")


def launched_rank() -> int | None:
    """The rank of this process; None where mpiexec, or its like, has not started it."""
    return _number(RANKS)


def first_on_host() -> bool:
    """Whether it is the first rank on its host: the one that says what is missing there."""
    return not _number(RANKS_ON_HOST)


def _number(names: tuple[str, ...]) -> int | None:
    values = [os.environ[name] for name in names if os.environ.get(name, "").isdecimal()]
    return int(values[0]) if values else None
