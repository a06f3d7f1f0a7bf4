"""The Page–Hinkley test."""

from __future__ import annotations

import numpy as np

from ...base.checks import check_count, check_number
from ...base.state import Part
from .detector import check_finite

__all__ = ["PageHinkley"]

STATE = 5  # numbers


class PageHinkley:
    """A `Detector`: how far the sum of the distances from the running mean has gone from where it once was.

    With x̄ the mean of the numbers so far, U ← α·U + (x − x̄ − delta) and D ← α·D + (x − x̄ + delta): they have changed
    where U is more than `threshold` above its minimum, or D as much below its maximum, from the number `least` on. So
    `delta` is what does not count as a change, and `threshold` how much more in all does, in the unit of the numbers.
    With an `alpha` below 1 the sums come to rest, and what then comes by chance is taken for a change in the end.

    Raises ArgumentError where `least` is below 1, `delta` or `threshold` below 0, or `alpha` not in (0, 1].
    Source: Page, "Continuous inspection schemes" (1954); `river.drift.PageHinkley`.
    """

    name = "page-hinkley"

    def __init__(self, *, least: int = 30, delta: float = 0.25, threshold: float = 50.0, alpha: float = 1.0) -> None:
        self.least = check_count("least", least)
        self.delta, self.threshold = check_number("delta", delta, 0), check_number("threshold", threshold, 0)
        self.alpha = check_number("alpha", alpha, 0, 1, open_low=True)
        self._reset()

    def _reset(self) -> None:
        self.count = 0
        self._mean = self._up = self._down = 0.0
        self._lowest, self._highest = np.inf, -1.0

    def update(self, value: float) -> bool:
        """See `Detector`."""
        value = check_finite(value)
        self.count += 1
        self._mean += (value - self._mean) / self.count
        away = value - self._mean
        self._up = self.alpha * self._up + away - self.delta
        self._down = self.alpha * self._down + away + self.delta
        self._lowest, self._highest = min(self._lowest, self._up), max(self._highest, self._down)
        gone = max(self._up - self._lowest, self._highest - self._down)
        found = self.count >= self.least and gone > self.threshold
        if found:
            self._reset()
        return found

    def dump(self) -> Part:
        """See `Detector`."""
        return Part({"state": np.array(self._state())}, {"count": self.count})

    def _state(self) -> tuple[float, ...]:
        return self._mean, self._up, self._down, self._lowest, self._highest

    def load(self, part: Part) -> None:
        """See `Detector`."""
        state = part.array("state", (STATE,), np.dtype(np.float64)).tolist()
        self.count = check_count("count", part.about.get("count"), 0)
        self._mean, self._up, self._down, self._lowest, self._highest = state
