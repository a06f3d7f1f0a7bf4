"""The replay buffer: windows that were learned from, of which some are learned from again with each batch."""

from __future__ import annotations

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part

__all__ = ["MOST", "RECENT", "ReplayBuffer"]

MOST = 4096  # windows
RECENT = 64  # of them, the newest


class ReplayBuffer:
    """The last 4,096 whole windows, each T steps of a key: `shape` is ``(T, columns)``.

    `lanes` of them are drawn with each batch, all alike and each anew, by counters: which ones is a function of `seed`,
    of the number of the batch, and of how many there are. After `recent` some batches get only of the newest 64.
    """

    def __init__(self, lanes: int, seed: int, shape: tuple[int, int]) -> None:
        self.lanes, self._seed, self._shape = lanes, seed, shape
        self._windows = np.zeros((0, *shape), np.float32)
        self._stored = 0  # ever
        self._until = 0  # the batch from which on all windows are drawn from

    def draw(self, batch: int) -> Array:
        """The windows ``(lanes, T, columns)`` for the batch of this number; none while there are none."""
        count = min(self._stored, MOST)
        if not count:
            return self._windows[:0]
        most = min(count, RECENT) if batch < self._until else count
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, batch))))
        drawn = random.integers(0, most, self.lanes)
        return self._windows[drawn if most == count else (self._stored - 1 - drawn) % MOST]

    def recent(self, until: int) -> None:
        """Before the batch of this number, draw from the newest windows alone."""
        self._until = until

    def store(self, windows: Array) -> None:
        """Keep these ``(n, T, columns)``; the oldest go."""
        windows = windows[-MOST:]
        size = min(self._stored + len(windows), MOST)
        if size > len(self._windows):
            larger = np.zeros((min(MOST, 2 * size), *self._shape), np.float32)
            larger[: len(self._windows)] = self._windows
            self._windows = larger
        self._windows[(self._stored + np.arange(len(windows))) % MOST] = windows
        self._stored += len(windows)

    def dump(self) -> Part:
        """The windows."""
        return Part(
            {"windows": self._windows[: min(self._stored, MOST)].copy()}, {"stored": self._stored, "until": self._until}
        )

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        windows = part.array("windows", ("n", *self._shape), np.dtype(np.float32))
        stored = check_count("stored", part.about.get("stored"), 0)
        if len(windows) != min(stored, MOST):
            raise ArgumentError("windows", str(min(stored, MOST)), len(windows))
        self._until = check_count("until", part.about.get("until"), 0)
        self._windows, self._stored = windows.copy(), stored
