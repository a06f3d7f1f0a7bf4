"""The table of executors. Another one is one file and one row here."""

from __future__ import annotations

from .executor import Executor
from .inline import InlineExecutor
from .mpi import MPIExecutor
from .process import ProcessExecutor
from .thread import ThreadExecutor

__all__ = ["EXECUTORS", "TRIED"]

# What ``auto`` tries, in this order: what needs nothing but this machine.
TRIED: dict[str, type[Executor]] = {
    executor.name: executor for executor in (InlineExecutor, ThreadExecutor, ProcessExecutor)
}
EXECUTORS: dict[str, type[Executor]] = {**TRIED, MPIExecutor.name: MPIExecutor}
