"""Scores of forecasts that were made before the truth was known, each beside that of naive ones.

`all` is over all labels so far, `window` over the last ones, `faded` over all, of which each counts for a little less
than the one after it. Sums are in order, in float64: the same labels give the same bits however they are divided into
calls. Where a score means nothing it is None, and never infinite or NaN.
"""

from .bounds import BoundScores
from .classes import ClassScores, WorstClasses
from .numbers import NumberScores, WorstNumbers

__all__ = ["BoundScores", "ClassScores", "NumberScores", "WorstClasses", "WorstNumbers"]
