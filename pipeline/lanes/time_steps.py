"""How long after the last record of its key each came."""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array
from ...core.base.state import Part
from .rings import KeyOrder, Ring, filled

__all__ = ["LONGEST", "TimeSteps", "logarithm"]

LONGEST = 30 * 86_400.0  # seconds; a longer step counts as this


class TimeSteps:
    """The time of the last record of each of `keys` keys."""

    def __init__(self, keys: int) -> None:
        self._last = Ring(keys, 1, (), "float64")

    def take(self, rows: Array) -> TimeSteps:
        """See `Ring.take`."""
        found = TimeSteps(0)
        found._last = self._last.take(rows)
        return found

    def steps(self, times: Array, order: KeyOrder) -> Array:
        """How many seconds behind the last one of its key each record came, sorted; NaN for the first."""
        times = times[order.index]
        earlier, inside = self._last.before(order, 1)
        found: Array = np.where(order.pos >= 1, times - filled(earlier, inside, times, 1), np.nan)
        self._last.push(order, times)
        return found

    def dump(self, rows: int) -> Array:
        """Those of the first keys."""
        return self._last.dump(rows)

    def load(self, part: Part, name: str, rows: int) -> None:
        """See `Ring.load`."""
        self._last.load(part, name, rows)


def logarithm(steps: Array) -> Array:
    """What a model reads of `steps`."""
    found: Array = np.log1p(np.clip(steps, 0, LONGEST))
    return found
