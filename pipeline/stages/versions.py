"""The versioned parameter store: version n is the parameters after n updates."""

from __future__ import annotations

import numpy as np
import trio

from ...core.base.parameters import Array

__all__ = ["VersionStore"]


class VersionStore:
    """The last ``delay + 2`` parameter versions, in `rows` ``(delay + 2, size)``; `latest` is the newest in there.

    Version v is in row ``v % (delay + 2)``. That many are enough, and no version is overwritten while a batch uses it:
    version n+1 takes the place of version n−1−delay, and the last batch to use that one, batch n−1, was applied before
    batch n.
    """

    def __init__(self, rows: Array, latest: int = 0) -> None:
        self._rows = rows
        self._published: trio.Event | None = None  # where somebody waits
        self.latest = latest

    def row(self, version: int) -> int:
        """The row that holds `version`, or where the next version is to be written. Raises LookupError."""
        if not self.latest - len(self._rows) + 1 < version <= self.latest + 1:
            raise LookupError(f"parameter version {version} is not in the store; the latest is {self.latest}")
        return version % len(self._rows)

    def parameters(self, version: int) -> Array:
        """The vector ``(size,)`` in the row of `version`. Raises LookupError."""
        vector: Array = self._rows[self.row(version)]
        return vector

    async def wait_for(self, version: int) -> None:
        """Wait until `version` is published."""
        while self.latest < version:
            self._published = self._published or trio.Event()
            await self._published.wait()

    def publish(self) -> None:
        """Make the version that was written behind the latest one visible."""
        self.latest += 1
        published, self._published = self._published, None
        if published is not None:
            published.set()

    def copy_latest(self, out: Array) -> None:
        """Copy the latest version into `out`."""
        np.copyto(out, self._rows[self.latest % len(self._rows)])
