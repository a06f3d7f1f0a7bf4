"""What was one season ago, for naive forecasts: so many records of the key before, or so much time."""

from __future__ import annotations

import numpy as np

from ...core.base.parameters import Array
from ...core.base.state import Part
from .rings import KeyOrder, grown

__all__ = ["KEPT", "Season"]

KEPT = 4096  # records of a key, among which the one is looked for that is a season older


class Season:
    """Two naive forecasts for targets `horizons` records ahead (0: of the same record), F in all.

    - ``season``: the value one season before the target; where that is not yet, as many seasons as it takes.
    - ``drift``: the last value, and of each record up to the target as much as one brought about on average during the
      season up to it.

    A season is `season` records of the key, or, where that is a float, so many seconds. Then it begins at the last
    record that is at least so much older, of the last 4,096, and the season before the target is as many records behind
    that as the target is ahead, if so many have come. Where a season is not there yet, both are the last value.
    """

    def __init__(self, horizons: list[int], season: float) -> None:
        self._horizons = horizons
        self._records = season if isinstance(season, int) else 0
        self._seconds = 0.0 if self._records else float(season)
        depth = self._records + 1 if self._records else KEPT
        self._past = np.zeros((0, depth, 1 + len(horizons)))  # of each key the times and values, by row

    def naive(self, order: KeyOrder, times: Array | None, known: Array, last: Array) -> Array:
        """The forecasts ``(n, F, 2)`` at each of the sorted records; then these are kept.

        `times` ``(n,)`` are theirs, `known` ``(n, F)`` the last values that are known with each, and `last` ``(n, F)``
        the naive forecasts by the last value.
        """
        self._past = grown(self._past, int(order.rows.max(initial=-1)) + 1)
        block = np.concatenate(((np.zeros(len(order)) if times is None else times)[:, None], known), axis=1)
        ago = order.pos - self._records if self._records else self._before(order, block)
        length = order.pos - ago  # records of the season
        found = np.stack((last, last), axis=2)
        for j, h in enumerate(self._horizons):
            end = order.pos - (not h)  # the last record whose value is known
            steps = max(1, h)
            if self._records:
                then = end + steps - -(-steps // self._records) * self._records
            else:
                then = np.where(ago < 0, -1, np.minimum(ago + h, end))
            start = end - length
            season = self._values(order, block, then)[:, j]
            slope = (self._values(order, block, end)[:, j] - self._values(order, block, start)[:, j]) / length
            for way, value in enumerate((season, last[:, j] + steps * slope)):
                np.copyto(found[:, j, way], value, where=(ago >= 0) & ~np.isnan(value))
        self._keep(order, block)
        return found

    def _values(self, order: KeyOrder, block: Array, pos: Array) -> Array:
        return self._read(order, block, pos)[:, 1:]

    def _read(self, order: KeyOrder, block: Array, pos: Array) -> Array:
        """What the record `pos` ``(n,)`` of the key of each has, where it is kept; NaN where it is not."""
        depth, first = self._past.shape[1], order.pos[order.start]
        found: Array = self._past[order.rows, pos % depth]
        inside = np.flatnonzero(pos >= first)
        found[inside] = block[(order.start + pos - first)[inside]]
        found[(pos < 0) | (pos < first - depth)] = np.nan
        return found

    def _before(self, order: KeyOrder, block: Array) -> Array:
        """The last record of the key that is at least a season older; -1 where none is kept."""
        low = np.maximum(order.pos[order.start] - self._past.shape[1], 0) - 1  # it is not before this,
        oldest, high = low.copy(), order.pos.copy()  # and before that
        bound = block[:, 0] - self._seconds
        while (high - low > 1).any():
            middle = (low + high) // 2
            older = self._read(order, block, np.maximum(middle, 0))[:, 0] <= bound
            low, high = np.where(older, middle, low), np.where(older, high, middle)
        return np.where(low > oldest, low, -1)

    def _keep(self, order: KeyOrder, block: Array) -> None:
        depth = self._past.shape[1]
        kept = np.flatnonzero(order.rank >= np.repeat(order.sizes, order.sizes) - depth)
        self._past[order.rows[kept], order.pos[kept] % depth] = block[kept]

    def dump(self, rows: int) -> Array:
        """What is kept of the first keys."""
        self._past = grown(self._past, rows)
        found: Array = self._past[:rows].copy()
        return found

    def load(self, part: Part, name: str, rows: int) -> None:
        """See `Ring.load`."""
        self._past = part.array(name, (rows, *self._past.shape[1:]), self._past.dtype).copy()
