"""Where the shards of a run are computed: in the event loop, in threads, in processes; and which is the fastest."""

from .chooser import EXECUTORS, Chooser
from .inline import InlinePlace
from .place import Place
from .process import ProcessExecutor
from .thread import ThreadPlace

__all__ = ["EXECUTORS", "Chooser", "InlinePlace", "Place", "ProcessExecutor", "ThreadPlace"]
