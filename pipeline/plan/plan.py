"""What a run is to do, and what follows from it: by the sizes, and where it changes no bit by the machine."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.base.checks import ArgumentError, check_count, check_number
from ...core.model.trainable import Trainable
from ..flow.worker_process import processors

__all__ = ["Plan"]

LONG = 100e6  # operations of a forward pass, some two milliseconds
SPLIT = 20e6  # the same, from which on two stages are better than one


@dataclass(frozen=True)
class Plan:
    """How a model is trained, see `Trainer` for the settings. Raises ArgumentError."""

    model: Trainable
    delay: int
    shards: int
    ranks: int
    blas_threads: int
    seed: int
    executor: str
    capacity: int
    watchdog: float | None

    def __post_init__(self) -> None:
        for name in ("delay", "capacity", "seed"):
            object.__setattr__(self, name, check_count(name, getattr(self, name), 0))
        for name in ("shards", "ranks", "blas_threads"):
            object.__setattr__(self, name, check_count(name, getattr(self, name)))
        if self.watchdog is not None:
            object.__setattr__(self, "watchdog", check_number("watchdog", self.watchdog, 0, open_low=True))
        if self.ranks > (most := self.model.network.most_ranks):
            raise ArgumentError("ranks", f"at most {most} for this model", self.ranks)

    def workspaces(self) -> int:
        """How many a shard has: as many of its batches can be in flight, and as many groups of processes compute it.

        With a delay of d it can use d + 1, because batch k waits for version k − d. More than one in the forward pass,
        one in the recurrence and one in the products would only wait. Nor are there more than there are processors
        for, but for a second one. Their number changes no bit.
        """
        return min(self.delay + 1, 3, max(2, processors() // (self.shards * self.ranks)))

    def passes(self) -> int:
        """How many passes can go on at the same time."""
        return self.shards * self.workspaces()

    def long(self, size: int) -> bool:
        """Whether a pass of a shard, of a batch of `size` T·B, is too long to hold up the event loop."""
        return self._operations(size) >= LONG

    def split(self, size: int) -> bool:
        """Whether the backward pass is two stages, so that two batches can be in it at the same time.

        It takes twice as long as the forward pass. With a delay it would be what all the others wait for; and one
        more hop is nothing to a long pass.
        """
        return self.delay > 0 and self._operations(size) >= SPLIT

    def _operations(self, size: int) -> float:
        """Of a forward pass of a shard, of a batch of `size` T·B: about two for each parameter and step of a lane."""
        return 2 * self.model.layout.size * size / self.shards
