"""Checkpoints: the state of a run, gathered while it goes on, written so that a crash anywhere leaves a whole one.

`file` is how one is written, `store` the folder of them, `fingerprint` what the last bits depend on. `checkpoints` says
when one is made and what is in it, `saver` writes them beside the run.
"""

from .checkpoints import Checkpoints
from .file import CheckpointError
from .store import CheckpointStore, Found

__all__ = ["CheckpointError", "CheckpointStore", "Checkpoints", "Found"]
