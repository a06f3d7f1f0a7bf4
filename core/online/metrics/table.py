"""The metrics, in the order in which reports have them."""

from __future__ import annotations

from .mae import MAE
from .mape import MAPE
from .metric import Metric
from .r2 import R2
from .rmse import RMSE

__all__ = ["METRICS"]

METRICS: tuple[Metric, ...] = (MAE(), RMSE(), MAPE(), R2())
