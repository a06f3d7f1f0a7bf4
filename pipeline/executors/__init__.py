"""Where the shards of a run are computed: in the event loop, in threads, in processes, on other machines.

`executor` and `place` are the protocols; `inline`, `thread`, `process` and `mpi` keep them, and `table` lists them;
`chooser` measures which is the fastest. `rank_group` and `shared_memory` are what `process` stands on. Of `mpi`,
`mpi_job` says who is there, `mpi_worker` is the other side, and between them are `mpi_link`, the messages, `mpi_ways`,
the parameters and gradients, and `mpi_states`.
"""

from .chooser import AUTO, Chooser
from .executor import Executor, Work
from .place import Place
from .table import EXECUTORS

__all__ = ["AUTO", "EXECUTORS", "Chooser", "Executor", "Place", "Work"]
