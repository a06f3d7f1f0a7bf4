"""The pipeline: trio stages linked by memory channels, around the core.

From the bottom up: `messages`, `channels` and `versions` are what passes between the stages; `reports` and `timeline`
say what happened; `team` is processes that run passes together; `places` and `crew` are where a shard computes;
`stages` are the async functions, and `wiring` links them up. `plan` is what a run is to do; `executors` chooses where;
`watchdog` ends a run that hangs; `run` is one run and `trainer` its face. `sources` bring the batches; `training` and
`fit` put source, model and trainer together; `display`, `demo` and `cli` are the command line.
"""

from .fit import fit
from .reports import Report
from .sources import SourceError, open_source
from .timeline import Timeline
from .trainer import Trainer
from .watchdog import StageHungError

__all__ = ["Report", "SourceError", "StageHungError", "Timeline", "Trainer", "fit", "open_source"]
