"""The stages. Each is an async function that receives, computes, sends on, and closes what it sends to.

`recurrence` and `weight_gradient` are the two halves of `backward`.
"""

from .backward import backward, recurrence, weight_gradient
from .forward import forward
from .load import Intake, load
from .update import Applied, update

__all__ = ["Applied", "Intake", "backward", "forward", "load", "recurrence", "update", "weight_gradient"]
