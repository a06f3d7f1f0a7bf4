"""Which rank of an MPI job this process is, as the program that has started it says in the environment.

This module imports next to nothing: the command asks it before it does anything else.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["asks_for_mpi", "first_on_host", "launched_rank"]

# Of MPICH, Intel MPI and Slurm; of whatever speaks PMIx; of Open MPI.
RANKS = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK")
RANKS_ON_HOST = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")


def launched_rank() -> int | None:
    """The rank of this process; None where mpiexec, or its like, has not started it."""
    return _number(RANKS)


def first_on_host() -> bool:
    """Whether it is the first rank on its host: the one that says what is missing there."""
    return not _number(RANKS_ON_HOST)


def asks_for_mpi(words: Sequence[str]) -> bool:
    """Whether the words of a command have ``--executor mpi`` among them; the parser takes less of the option, too."""
    for index, word in enumerate(words):
        option, _, value = word.partition("=")
        if option.startswith("--ex") and "--executor".startswith(option):
            return (value or "".join(words[index + 1 : index + 2])) == "mpi"
    return False


def _number(names: tuple[str, ...]) -> int | None:
    values = [os.environ[name] for name in names if os.environ.get(name, "").isdecimal()]
    return int(values[0]) if values else None
