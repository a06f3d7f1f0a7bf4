"""The pipeline: trio stages linked by memory channels, around the core.

Its rooms, from the bottom up: `flow`, channels and groups of tasks; `observe`, what a run says of itself; `sources`
bring bytes, `decoding` says what they mean, and `lanes` make batches of that; `plan`, what a run is to do; `executors`,
where it computes; the `stages`; `training`, the trainer and what wires the stages up; `command`, the command line.
`testing` has helpers for parts of one's own.
"""

from .flow.channels import Receiver, Sender
from .lanes import open_source
from .observe.reports import Report
from .observe.timeline import Timeline
from .observe.watchdog import StageHungError
from .plan.messages import Backwarded, Forwarded, Loaded
from .sources import SourceError
from .training.fit import fit
from .training.trainer import Trainer

__all__ = [
    "Backwarded",
    "Forwarded",
    "Loaded",
    "Receiver",
    "Report",
    "Sender",
    "SourceError",
    "StageHungError",
    "Timeline",
    "Trainer",
    "fit",
    "open_source",
]
