"""How long it takes from a label to the weights that it has changed."""

from __future__ import annotations

from collections import deque

import numpy as np

from ...core.base.parameters import Array

__all__ = ["Latency"]

LAST = 1 << 13  # labels, of whole batches


class Latency:
    """Of the last 8,192 labels, the seconds from when they were read to when their batch was applied."""

    def __init__(self) -> None:
        self._batches: deque[Array] = deque()
        self._count = 0  # labels in them

    def add(self, came: Array, now: float) -> None:
        """A batch was applied `now`, with labels that were read at these times; 0: there is none, or it is unknown."""
        took = now - came[came > 0]
        self._batches.append(took)
        self._count += len(took)
        while self._count - len(self._batches[0]) >= LAST:
            self._count -= len(self._batches.popleft())

    def report(self) -> dict[str, float] | None:
        """``p50`` and ``p99``, in seconds; None where there was none."""
        if not self._count:
            return None
        p50, p99 = np.percentile(np.concatenate(self._batches)[-LAST:], (50, 99)).tolist()
        return {"p50": p50, "p99": p99}
