"""Scores of the bounds of forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count, check_number
from ...base.parameters import Array
from ...base.state import Part
from ..standardise import FLOAT64, LARGEST
from .sums import Sums, Window

__all__ = ["BoundScores"]

LINES = 4  # misses below and above, the width, and the pinball loss
STRETCH = 500  # labels in a row


class _Held:
    """How the bounds of one target have held."""

    def __init__(self, window: int) -> None:
        self.sums, self.last, self.most = Sums(LINES, window), Window(1, STRETCH), 0

    def add(self, low: Array, high: Array, truths: Array, miss: float) -> None:
        some = np.flatnonzero(~np.isnan(low + high + truths))
        if not len(some):
            return
        low, high, truths = low[some], high[some], truths[some]
        with np.errstate(over="ignore"):
            under, over = truths - low, truths - high
            width = np.minimum(high - low, LARGEST)
            loss = np.maximum(miss * under, (miss - 1) * under) + np.maximum((1 - miss) * over, -miss * over)
        below, above = under < 0, over > 0
        self.sums.add(np.array([below, above, width, np.minimum(loss / 2, LARGEST)]))
        misses = (below | above).astype(np.float64)
        total = np.concatenate(([0.0], np.cumsum(np.concatenate((self.last.lines()[0], misses)))))
        if len(total) > STRETCH:
            self.most = max(self.most, int((total[STRETCH:] - total[:-STRETCH]).max()))
        self.last.add(misses[None])

    def metrics(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for scope, (sums, count) in self.sums.scopes().items():
            below, above, width, loss = [part / count if count else None for part in sums]
            coverage = None if below is None or above is None else 1 - below - above
            found[scope] = {"coverage": coverage, "below": below, "above": above, "width": width, "pinball": loss}
            found[scope]["count"] = count
        full = self.last.count >= STRETCH
        found["all"]["most_missed"] = self.most / STRETCH if full else None
        return found


class BoundScores:
    """How often the truth was within the bounds of forecasts of `targets`, which ask for a share `interval` of them.

    `window` is in labels. Raises ArgumentError where it is below 1.
    """

    def __init__(self, targets: Sequence[str], interval: float, *, window: int = 1000) -> None:
        self.targets, self.window = tuple(targets), check_count("window", window)
        self.interval = check_number("interval", interval, 0, 1)
        self._held = [_Held(self.window) for _ in self.targets]

    def add(self, low: Array, high: Array, truths: Array) -> None:
        """Take in labels, in order; one of a target counts where none is NaN. All are ``(n, F)`` float64.

        Raises ArgumentError for other arrays.
        """
        for name, array in (("low", low), ("high", high), ("truths", truths)):
            check_array(name, array, (len(low), len(self.targets)), FLOAT64)
        for j, held in enumerate(self._held):
            held.add(low[:, j], high[:, j], truths[:, j], (1 - self.interval) / 2)

    def metrics(self) -> dict[str, Any]:
        """The ``interval`` asked for, and of each scope the ``coverage``, the shares of misses, and what bounds cost.

        These are ``below`` and ``above``; the mean ``width``; the mean ``pinball`` loss of the two bounds, which is
        small where they are narrow and hold; and the ``count``. ``most_missed``, in ``all``, is the largest share of
        misses among 500 labels in a row. With several targets these are in ``targets``, by name.
        """
        scopes = [held.metrics() for held in self._held]
        if len(scopes) == 1:
            return {"interval": self.interval, **scopes[0]}
        return {"interval": self.interval, "targets": dict(zip(self.targets, scopes, strict=True))}

    def dump(self) -> Part:
        """The sums, and the last misses."""
        found = Part({}, {"targets": [*self.targets], "interval": self.interval, "window": self.window})
        for index, held in enumerate(self._held):
            about = {"most": held.most, "count": held.last.count}
            own = Part.of(about, sums=held.sums.dump(), last=Part({"misses": held.last.lines()}, {}))
            part = Part.of(**{str(index): own})
            found = Part(found.arrays | part.arrays, found.about | part.about)
        return found

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        mine = {"targets": [*self.targets], "interval": self.interval, "window": self.window}
        for name, value in mine.items():
            if part.about.get(name) != value:
                raise ArgumentError(name, str(value), part.about.get(name))
        loaded = []
        for index in range(len(self.targets)):
            own, held = part.part(str(index)), _Held(self.window)
            held.sums.load(own.part("sums"))
            count = check_count("count", own.about["count"], 0)
            held.last.load(own.part("last").array("misses", (1, min(count, STRETCH)), FLOAT64), count)
            held.most = check_count("most", own.about["most"], 0, STRETCH)
            loaded.append(held)
        self._held = loaded
