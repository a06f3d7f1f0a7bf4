"""Metrics of forecasts of numbers; see also `class_metrics`. Each is a file, and a row of the table."""

from .metric import Metric, Pairs
from .table import METRICS

__all__ = ["METRICS", "Metric", "Pairs"]
