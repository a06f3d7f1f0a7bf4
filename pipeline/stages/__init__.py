"""The stages. Each is an async function that receives, computes, sends on, and closes what it sends to.

`recurrence` and `weight_gradient` are the two halves of `backward`; `solo` is all stages in one task. `Intake` is the
way in; the `VersionStore` is what `update` writes and `forward` waits for.
"""

from .backward import backward, recurrence, weight_gradient
from .barrier import Barrier
from .forward import forward
from .intake import Batches, Intake, Item, Marks
from .load import load
from .solo import solo
from .update import Applied, update
from .versions import VersionStore

__all__ = [
    "Applied",
    "Barrier",
    "Batches",
    "Intake",
    "Item",
    "Marks",
    "VersionStore",
    "backward",
    "forward",
    "load",
    "recurrence",
    "solo",
    "update",
    "weight_gradient",
]
