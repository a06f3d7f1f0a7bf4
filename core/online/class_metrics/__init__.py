"""Metrics of forecasts of classes. Each is a file, and a row of the table."""

from .metric import ClassMetric, Counts
from .table import CLASS_METRICS

__all__ = ["CLASS_METRICS", "ClassMetric", "Counts"]
