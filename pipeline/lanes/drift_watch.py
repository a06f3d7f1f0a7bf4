"""Watches the errors of forecasts for a drift: that they have become larger and stay so."""

from __future__ import annotations

import numpy as np

from ...core.base.checks import check_count
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.online.drift import DETECTORS

__all__ = ["DriftWatch"]

LARGEST = 10.0  # scales; a larger error counts as this
MOST = 256  # truths, of which the detector is told the mean
SLOW, FAST = 0.002, 0.1  # how much a mean of each kind moves towards the newest


class DriftWatch:
    """Tells a detector of the errors of forecasts as their truths come; where they rise, that is a drift.

    `name` is one of the detectors. It is told of each error, over the mean of those before, which begins anew with what
    it finds; where there are many keys of the mean of several errors, a quarter as many as there are keys, and 256 at
    most. A detector finds falling errors too, as of a model that learns: it is a drift where the newest ones are larger
    than those before, by two means of which one is faster.
    ``count`` drifts were found, the last one at the record ``last``.
    """

    def __init__(self, name: str) -> None:
        self.name, self._detector = name, DETECTORS[name]()
        self._sum, self._some = 0.0, 0  # of errors since the last update
        self._due, self._events, self._keys = 1, 0, 0
        self._updates, self._slow, self._fast = 0, 0.0, 0.0
        self.count, self.last = 0, -1

    def follow(self, errors: Array, at: Array, fresh: Array, number: int) -> list[int]:
        """The records with which there are drifts; each truth comes before the record ``at`` ``(m,)`` of n.

        `errors` ``(m,)`` are in scales, NaN where nothing is known; `fresh` ``(n,)`` says which records are the first
        of a key, and `number` is that of the first one.
        """
        found = []
        keys = self._keys + np.concatenate(([0], np.cumsum(fresh)))
        self._keys = int(keys[-1])
        told = zip(np.minimum(errors, LARGEST).tolist(), keys[at].tolist(), at.tolist(), strict=True)
        for error, known, record in told:
            if error == error:
                self._sum += error
                self._some += 1
            self._events += 1
            if self._events >= self._due:
                if self._some and self._update(self._sum / self._some):
                    self.count, self.last = self.count + 1, number + record
                    found.append(self.last)
                self._sum, self._some = 0.0, 0
                self._due = self._events + min(MOST, max(1, known // 4))
        return found

    def _update(self, error: float) -> bool:
        self._updates += 1
        share = error / self._slow if self._slow > 0 else 1.0
        self._slow += max(SLOW, 1 / self._updates) * (error - self._slow)
        self._fast += max(FAST, 1 / self._updates) * (error - self._fast)
        if not self._detector.update(min(share, LARGEST)):
            return False
        rises = self._fast > self._slow
        self._updates = 0  # what was before says nothing any more
        return rises

    def dump(self) -> Part:
        """All that is kept."""
        about = {
            "updates": self._updates,
            "some": self._some,
            "due": self._due,
            "events": self._events,
            "keys": self._keys,
        }
        about |= {"count": self.count, "last": self.last}
        means = np.array([self._sum, self._slow, self._fast])
        return Part.of(about, detector=self._detector.dump(), means=Part({"means": means}, {}))

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError where it does not fit."""
        about = part.about
        self._updates, self._some, self._due, self._events, self._keys, self.count = (
            check_count(name, about.get(name), 0) for name in ("updates", "some", "due", "events", "keys", "count")
        )
        self.last = check_count("last", about.get("last"), -1)
        self._detector.load(part.part("detector"))
        means = part.part("means").array("means", (3,), np.dtype(np.float64))
        self._sum, self._slow, self._fast = means.tolist()
