"""Counts of classes: over all labels, over the last ones, and with the past fading."""

from __future__ import annotations

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count
from ...base.parameters import Array
from ...base.state import Part
from ..standardise import FLOAT64, fitting
from .sums import FADE, PERIOD, Window, periods

__all__ = ["Tallies"]


class Tallies:
    """How often each of `classes` K classes was the truth; and was said, and rightly, by each of several `ways`.

    `window` is how many labels the last ones are. Faded counts are kept as the faded sums of `Sums` are.
    """

    def __init__(self, ways: int, classes: int, window: int) -> None:
        self._ways, self._classes = ways, classes
        # Lines: of truths, of what each way says, and of what it says rightly. The first column is for nothing said.
        self._total, self._faded = np.zeros((1 + 2 * ways, classes + 1)), np.zeros((1 + 2 * ways, classes + 1))
        self._window = Window(1 + ways, window)

    @property
    def count(self) -> int:
        """How many labels there were."""
        return self._window.count

    @property
    def truths(self) -> Array:
        """How often each class was the truth ``(K,)``."""
        return self._total[0, 1:]

    def add(self, classes: Array) -> None:
        """Take in labels ``(1 + ways, n)`` int64, in order: the truth, and what each way says, −1 for nothing."""
        cells = self._cells(classes)
        np.add.at(self._total.reshape(-1), cells.ravel(), 1.0)
        for part, growth, ended in periods(self.count, classes.shape[1]):
            np.add.at(self._faded.reshape(-1), cells[:, part].ravel(), np.concatenate([growth] * len(cells)))
            if ended:
                self._faded = self._faded * FADE**PERIOD
        self._total[:, 0] = self._faded[:, 0] = 0
        self._window.add(classes)

    def _cells(self, classes: Array) -> Array:
        """The places in a table, as one line, that labels are counted at ``(1 + 2 · ways, n)``."""
        said = classes[1:]
        cells = np.concatenate([classes, np.where(said == classes[0], said, -1)])
        cells += 1 + (1 + self._classes) * np.arange(len(cells))[:, None]
        return cells

    def scopes(self) -> dict[str, Array]:
        """The counts of each scope ``(1 + 2 · ways, K)``: truths, what each way said, what it said rightly."""
        cells = self._cells(self._window.lines().astype(np.int64))
        last = np.bincount(cells.ravel(), minlength=self._total.size).reshape(self._total.shape).astype(FLOAT64)
        faded = self._faded * FADE ** ((self.count % PERIOD) - 1)
        return {"all": self._total[:, 1:], "window": last[:, 1:], "faded": faded[:, 1:]}

    def dump(self) -> Part:
        """The counts and the window."""
        arrays = {"total": self._total.copy(), "faded": self._faded.copy(), "window": self._window.lines()}
        return Part(arrays, {"count": self.count})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        lines, length = self._window.shape
        arrays = fitting(part, {}, {"total", "faded", "window"}, ("count",))
        count = check_count("count", part.about["count"], 0)
        for name in ("total", "faded"):
            check_array(name, arrays[name], self._total.shape, FLOAT64)
            if not (np.isfinite(arrays[name]).all() and (arrays[name] >= 0).all()):
                raise ArgumentError(name, "finite counts", "others")
        window = arrays["window"]
        check_array("window", window, (lines, min(count, length)), FLOAT64)
        if not np.isin(window, np.arange(-1, self._classes)).all():
            raise ArgumentError("window", f"classes below {self._classes}", "others")
        self._total, self._faded = arrays["total"].copy(), arrays["faded"].copy()
        self._window = Window(lines, length)
        self._window.load(window, count)
