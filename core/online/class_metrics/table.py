"""The metrics, in the order in which reports have them."""

from __future__ import annotations

from .accuracy import Accuracy
from .kappa import Kappa
from .kappa_temporal import KappaTemporal
from .log_loss import LogLoss
from .macro_f1 import MacroF1
from .metric import ClassMetric

__all__ = ["CLASS_METRICS"]

CLASS_METRICS: tuple[ClassMetric, ...] = (Accuracy(), LogLoss(), Kappa(), KappaTemporal(), MacroF1())
