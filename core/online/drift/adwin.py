"""ADWIN: a window that is as long as the numbers have not changed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...base.checks import ArgumentError, check_count, check_number
from ...base.state import Part
from .detector import check_finite

__all__ = ["ADWIN"]

MOST = 5  # buckets of a size
ROWS = 60  # sizes; more numbers than a double can count

Bucket = tuple[float, float]  # the sum of its numbers, and that of the squares of their distances from their mean


class ADWIN:
    """A `Detector`: the numbers have changed where two parts of the window have means that differ by too much.

    The window is kept as buckets of 1, 2, 4, … numbers, up to five of each size. Every `every` numbers each cut between
    two of them is looked at: with n₀ and n₁ numbers on its sides, ``m = 1/(n₀ − least + 1) + 1/(n₁ − least + 1)``, the
    variance s² of the window and ``d = ln(2·ln(n) / delta)``, the means are to differ by no more than
    ``√(2·m·s²·d) + 2/3·m·d``. Where they do, the oldest bucket goes, and it is looked at again. ``width`` is how many
    numbers are left.

    Raises ArgumentError where `delta`, how likely a change is to be found where there is none, is not in (0, 1), or a
    count is below 1.
    Source: Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing" (2007); `river.drift.ADWIN`.
    """

    name = "adwin"

    def __init__(self, *, delta: float = 0.002, every: int = 32, least: int = 5, grace: int = 10) -> None:
        self.delta = check_number("delta", delta, 0, 1, open_low=True, open_high=True)
        self.every, self.least = check_count("every", every), check_count("least", least)
        self.grace = check_count("grace", grace)
        self._reset()

    def _reset(self) -> None:
        self.width = self._ticks = 0
        self._total = self._squares = 0.0
        self._rows: list[list[Bucket]] = [[]]  # of each size, the oldest first

    def update(self, value: float) -> bool:
        """See `Detector`."""
        self._add(check_finite(value))
        self._ticks += 1
        if self._ticks % self.every or self.width <= self.grace:
            return False
        found = False
        while self._has_changed():
            self._drop()
            found = True
        if found:
            self._reset()
        return found

    def _add(self, value: float) -> None:
        if self.width:
            away = value - self._total / self.width
            self._squares += self.width * away * away / (self.width + 1)
        self.width += 1
        self._total += value
        self._rows[0].append((value, 0.0))
        for row, buckets in enumerate(self._rows):
            if len(buckets) <= MOST:
                return
            if row + 1 == len(self._rows):
                self._rows.append([])
            size = 1 << row
            (total, squares), (other, others) = buckets[:2]
            away = (total - other) / size
            self._rows[row + 1].append((total + other, squares + others + size * away * away / 2))
            del buckets[:2]

    def _buckets(self) -> Iterator[tuple[int, float]]:
        """Size and sum of each, the oldest first."""
        for row in range(len(self._rows) - 1, -1, -1):
            for total, _ in self._rows[row]:
                yield 1 << row, total

    def _has_changed(self) -> bool:
        n0, before, n, least = 0, 0.0, self.width, self.least
        d, variance = math.log(2 * math.log(n) / self.delta), self._squares / n
        for size, total in self._buckets():
            n0 += size
            before += total
            n1 = n - n0
            if n0 < least or n1 < least:
                continue
            m = 1 / (n0 - least + 1) + 1 / (n1 - least + 1)
            if abs(before / n0 - (self._total - before) / n1) > math.sqrt(2 * m * variance * d) + 2 / 3 * m * d:
                return True
        return False

    def _drop(self) -> None:
        """The oldest bucket goes."""
        size = 1 << len(self._rows) - 1
        total, squares = self._rows[-1].pop(0)
        self.width -= size
        self._total -= total
        away = total / size - self._total / self.width
        self._squares = max(self._squares - squares - size * self.width * away * away / (size + self.width), 0.0)
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()

    def dump(self) -> Part:
        """See `Detector`."""
        buckets = np.array([bucket for row in self._rows for bucket in row]).reshape(-1, 2)
        sums = np.array([self._total, self._squares])
        return Part(
            {"buckets": buckets, "sums": sums}, {"rows": [len(row) for row in self._rows], "ticks": self._ticks}
        )

    def load(self, part: Part) -> None:
        """See `Detector`."""
        counts = [check_count("rows", count, 0, MOST) for count in part.about["rows"]]
        if not 1 <= len(counts) <= ROWS:
            raise ArgumentError("rows", f"1 to {ROWS}", len(counts))
        buckets = iter(part.array("buckets", (sum(counts), 2), np.dtype(np.float64)).tolist())
        total, squares = part.array("sums", (2,), np.dtype(np.float64)).tolist()
        self._ticks = check_count("ticks", part.about.get("ticks"), 0)
        self._rows = [[(pair[0], pair[1]) for _, pair in zip(range(count), buckets, strict=False)] for count in counts]
        self.width = sum(count << row for row, count in enumerate(counts))
        self._total, self._squares = total, squares
