"""Where the shards of a run are computed: in the event loop, in threads, in processes; and which is the fastest.

`executor` and `place` are the protocols; `inline`, `thread` and `process` keep them, and `table` lists them; `chooser`
measures. `rank_group` and `shared_memory` are what `process` stands on.
"""

from .chooser import AUTO, Chooser
from .executor import Executor, Work
from .place import Place
from .table import EXECUTORS

__all__ = ["AUTO", "EXECUTORS", "Chooser", "Executor", "Place", "Work"]
