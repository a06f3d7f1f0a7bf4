"""The losses: `loss` has them as plain options and lists them; the other files do their sums."""

from .ctc import CTCLoss
from .interval import IntervalLoss
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, HuberLoss, Loss, LossTape, MSELoss
from .table import LOSSES

__all__ = [
    "LOSSES",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "IntervalLoss",
    "Loss",
    "LossTape",
    "MSELoss",
]
