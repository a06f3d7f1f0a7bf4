"""A run of the stages on a source, and the trainer that users see."""

from .fit import fit
from .trainer import Trainer

__all__ = ["Trainer", "fit"]
