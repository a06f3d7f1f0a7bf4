"""Sums over labels: over all of them, over the last ones, and with the past fading."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...base.checks import ArgumentError, check_array, check_count
from ...base.parameters import Array
from ...base.state import Part
from ..standardise import FLOAT64, fitting

__all__ = ["FADE", "PERIOD", "Sums", "Window", "periods"]

FADE = 0.999  # how much a label counts of what the one after it does
PERIOD = 1024  # labels, after which the faded sums are brought to scale
GROWTH = FADE ** -np.arange(PERIOD, dtype=np.float64)


def periods(count: int, n: int) -> Iterator[tuple[slice, Array, bool]]:
    """`n` labels behind `count` others, by periods: which they are, how they grow, and whether a period ends."""
    start = 0
    while start < n:
        place = (count + start) % PERIOD
        stop = min(n, start + PERIOD - place)
        growth = GROWTH[place : place + stop - start]
        yield slice(start, stop), growth, place + len(growth) == PERIOD
        start = stop


class Window:
    """The last `length` columns of a few lines of numbers."""

    def __init__(self, lines: int, length: int) -> None:
        self._last, self.count = np.zeros((lines, length)), 0

    def add(self, lines: Array) -> None:
        """Take in the columns ``(lines, n)`` in order; the oldest leave."""
        length, n = self._last.shape[1], lines.shape[1]
        begin, lines = self.count + n - min(n, length), lines[:, -length:] if n else lines
        place = begin % length
        here = min(length - place, lines.shape[1])
        self._last[:, place : place + here] = lines[:, :here]
        self._last[:, : lines.shape[1] - here] = lines[:, here:]
        self.count += n

    @property
    def shape(self) -> tuple[int, int]:
        """How many lines there are, and columns at most."""
        lines, length = self._last.shape
        return lines, length

    def lines(self) -> Array:
        """The columns that there are, oldest first."""
        length = self._last.shape[1]
        if self.count <= length:
            return self._last[:, : self.count].copy()
        return np.roll(self._last, -(self.count % length), axis=1)

    def load(self, lines: Array, count: int) -> None:
        """Take up what `lines` gave, of `count` columns in all."""
        self.count = count - lines.shape[1]
        self.add(lines)


class Sums:
    """The sums of `lines` terms of each label; `window` is how many the last ones are.

    A faded sum is Σ 0.999^(n − i) · term i. It is kept as Σ 0.999^(−(i mod 1024)) · term i, in order, and brought to
    scale where i is a multiple of 1,024: so it is the same however the labels are divided.
    """

    def __init__(self, lines: int, window: int) -> None:
        self.total, self._faded = np.zeros((lines, 1)), np.zeros((lines, 1))
        self._window = Window(lines, window)

    @property
    def count(self) -> int:
        """How many labels there were."""
        return self._window.count

    def add(self, terms: Array) -> None:
        """Take in the terms ``(lines, n)``, in order."""
        self.total = np.add.accumulate(np.concatenate([self.total, terms], axis=1), axis=1)[:, -1:]
        for part, growth, ended in periods(self.count, terms.shape[1]):
            grown = terms[:, part] * growth
            self._faded = np.add.accumulate(np.concatenate([self._faded, grown], axis=1), axis=1)[:, -1:]
            if ended:
                self._faded = self._faded * FADE**PERIOD
        self._window.add(terms)

    def scopes(self) -> dict[str, tuple[list[float], float]]:
        """The sums of each scope, and of how many labels, of which some count for less."""
        last, count = self._window.lines(), self.count
        scale = FADE ** ((count % PERIOD) - 1)
        return {
            "all": (self.total[:, 0].tolist(), count),
            "window": (np.add.reduce(last, 1).tolist(), last.shape[1]),
            "faded": ((self._faded[:, 0] * scale).tolist(), (1 - FADE**count) / (1 - FADE)),
        }

    def dump(self) -> Part:
        """The sums and the window."""
        arrays = {"total": self.total[:, 0].copy(), "faded": self._faded[:, 0].copy(), "window": self._window.lines()}
        return Part(arrays, {"count": self.count})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError, and changes nothing, where it does not fit."""
        lines, length = self._window.shape
        arrays = fitting(part, {}, {"total", "faded", "window"}, ("count",))
        count = check_count("count", part.about["count"], 0)
        for name in ("total", "faded"):
            check_array(name, arrays[name], (lines,), FLOAT64)
        check_array("window", arrays["window"], (lines, min(count, length)), FLOAT64)
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ArgumentError("sums", "finite numbers", "others")
        self.total, self._faded = arrays["total"][:, None].copy(), arrays["faded"][:, None].copy()
        self._window = Window(lines, length)
        self._window.load(arrays["window"], count)
