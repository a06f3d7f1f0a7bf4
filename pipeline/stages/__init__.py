"""The four stages. Each is an async function that receives, computes, sends on, and closes what it sends to."""

from .backward import backward
from .forward import forward
from .load import load
from .update import update

__all__ = ["backward", "forward", "load", "update"]
