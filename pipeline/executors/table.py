"""The table of executors. Another one is one file and one row here."""

from __future__ import annotations

from .executor import Executor
from .inline import InlineExecutor
from .process import ProcessExecutor
from .thread import ThreadExecutor

__all__ = ["EXECUTORS"]

# In the order in which they are tried.
EXECUTORS: dict[str, type[Executor]] = {
    executor.name: executor for executor in (InlineExecutor, ThreadExecutor, ProcessExecutor)
}
