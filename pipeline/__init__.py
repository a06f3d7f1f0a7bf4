"""The pipeline: trio stages linked by memory channels, around the core.

From the bottom up: `messages`, `channels` and `versions` are what passes between the stages; `team` is processes that
run passes together; `places` and `crew` are where a shard computes; `stages` are the four async functions; `trainer`
wires them up. `sources` bring the batches; `training` and `fit` put source, model and trainer together; `display`,
`demo` and `cli` are the command line.
"""

from .fit import fit
from .reports import Report
from .sources import SourceError, open_source
from .trainer import Trainer

__all__ = ["Report", "SourceError", "Trainer", "fit", "open_source"]
