"""The two ways of the parameters to the workers, and of the gradients back; a trainer's and a worker's half of each.

In the **star** each worker gets all parameters from the trainer, and sends it all of its gradient. With many shards the
trainer's link would be what all wait for. Then the vector is cut into **slices**, one for each worker: a worker gets
its slice of the parameters and hands it on to the others; it gets its slice of everybody's gradient, and sends the sum
to the trainer. Sums are made in the order of the shards, as `recurrio.core.optim.updater.Updater` makes them, so their
bits are the same in both.

Messages with the same tag between two ranks come in the order in which they were sent. Where batches can overtake each
other, the tag says which of those in flight it is, its `slot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ...core.base.parameters import Array
from ...core.base.ranks import Rank
from ...core.model.run_memory import RunMemory
from ..flow.group import Group
from ..plan.messages import Ticket
from .mpi_link import Link

__all__ = ["TrainerWay", "WorkerWay", "trainer_way", "worker_way"]

PARAMETERS, SLICES, GRADIENTS = 10, 1000, 2000  # tags; the last two are those of slot 0
MANY = 4  # shards, from which on there are slices


class TrainerWay(Protocol):
    """The trainer's half, of all shards."""

    def send_version(self, shard: int, row: int) -> None:
        """Send the place of a shard the parameters in this row, as its next forward pass says that it is to expect."""
        ...

    def receive_gradient(self, ticket: Ticket) -> tuple[Sequence[Any], Array]:
        """The requests after which the gradient of a shard is there, and where, as `Place.backward` says."""
        ...


class WorkerWay(Protocol):
    """The half of the place of one shard."""

    async def receive_version(self, row: int) -> None:
        """Wait for the parameters that are to go into this row."""
        ...

    def send_gradient(self, workspace: int, slot: int) -> None:
        """Send the gradient in this workspace."""
        ...


def trainer_way(link: Link, memory: RunMemory) -> TrainerWay:
    """The half of the trainer, by the number of shards."""
    return (SlicesTrainer if len(memory.gradients) >= MANY else StarTrainer)(link, memory)


def worker_way(link: Link, memory: RunMemory, shard: int, group: Group) -> WorkerWay:
    """The half of the place of `shard`, by their number; what goes on meanwhile does so in the `group`."""
    if len(memory.gradients) >= MANY:
        return SlicesWorker(link, memory, shard, group)
    return StarWorker(link, memory, shard)


class StarTrainer:
    """See `TrainerWay`: everything goes through the trainer."""

    def __init__(self, link: Link, memory: RunMemory) -> None:
        self._link, self._memory = link, memory

    def send_version(self, shard: int, row: int) -> None:
        """See `TrainerWay`."""
        self._link.send_array(shard + 1, PARAMETERS, self._memory.parameters[row])

    def receive_gradient(self, ticket: Ticket) -> tuple[Sequence[Any], Array]:
        """See `TrainerWay`."""
        gradient = self._memory.gradients[ticket.shard][:, ticket.workspace]
        return [self._link.post(ticket.shard + 1, GRADIENTS, rank) for rank in gradient], gradient


class StarWorker:
    """See `WorkerWay`."""

    def __init__(self, link: Link, memory: RunMemory, shard: int) -> None:
        self._link, self._parameters, self._gradients = link, memory.parameters, memory.gradients[shard]

    async def receive_version(self, row: int) -> None:
        """See `WorkerWay`."""
        await self._link.done([self._link.post(0, PARAMETERS, self._parameters[row])])

    def send_gradient(self, workspace: int, slot: int) -> None:
        """See `WorkerWay`."""
        for rank in self._gradients[:, workspace]:
            self._link.send_array(0, GRADIENTS, rank)


def _slices(memory: RunMemory) -> list[slice]:
    """Which part of a vector is the slice of each shard."""
    shards = len(memory.gradients)
    return [Rank(shard, shards).share(memory.parameters.shape[1]) for shard in range(shards)]


class SlicesTrainer:
    """See `TrainerWay`: the sum of all shards is what shard 0 has, and the others have none.

    A pass of one shard comes to its end with those of all others.
    """

    def __init__(self, link: Link, memory: RunMemory) -> None:
        self._link, self._memory, self._slices = link, memory, _slices(memory)
        self._posted: dict[int, tuple[int, list[Any]]] = {}  # by slot, for which batch

    def send_version(self, shard: int, row: int) -> None:
        """See `TrainerWay`."""
        self._link.send_array(shard + 1, PARAMETERS, self._memory.parameters[row, self._slices[shard]])

    def receive_gradient(self, ticket: Ticket) -> tuple[Sequence[Any], Array]:
        """See `TrainerWay`."""
        slot = ticket.batch_number % self._memory.gradients[0].shape[1]
        total = self._memory.gradients[0][:1, slot]
        if self._posted.get(slot, (None,))[0] != ticket.batch_number:  # the first shard that comes posts all
            parts = [self._link.post(m + 1, GRADIENTS + slot, total[0, part]) for m, part in enumerate(self._slices)]
            self._posted[slot] = ticket.batch_number, parts
        return self._posted[slot][1], total if ticket.shard == 0 else total[:0]


class SlicesWorker:
    """See `WorkerWay`; while the slices of others are waited for, other passes can go on."""

    def __init__(self, link: Link, memory: RunMemory, shard: int, group: Group) -> None:
        self._link, self._memory, self._shard, self._group = link, memory, shard, group
        self._slices = _slices(memory)
        ranks, slots, _ = memory.gradients[shard].shape
        own = self._slices[shard].stop - self._slices[shard].start
        self._parts = np.empty((slots, len(self._slices), ranks, own), memory.parameters.dtype)
        self._others = [m for m in range(len(self._slices)) if m != shard]

    async def receive_version(self, row: int) -> None:
        """See `WorkerWay`."""
        link, vector = self._link, self._memory.parameters[row]
        others = [link.post(m + 1, PARAMETERS, vector[self._slices[m]]) for m in self._others]
        own = vector[self._slices[self._shard]]
        await link.done([link.post(0, PARAMETERS, own)])
        for m in self._others:
            link.send_array(m + 1, PARAMETERS, own)
        await link.done(others)

    def send_gradient(self, workspace: int, slot: int) -> None:
        """See `WorkerWay`."""
        link, parts, gradient = self._link, self._parts[slot], self._memory.gradients[self._shard][:, workspace]
        requests = []
        for m in self._others:
            requests += [link.post(m + 1, SLICES + slot, part) for part in parts[m]]
            for rank in gradient:
                link.send_array(m + 1, SLICES + slot, rank[self._slices[m]])
        np.copyto(parts[self._shard], gradient[:, self._slices[self._shard]])
        self._group.start_background(self._add_up, parts, requests, slot)

    async def _add_up(self, parts: Array, requests: list[Any], slot: int) -> None:
        await self._link.done(requests)
        first, second, *rest = parts.reshape(-1, parts.shape[-1])
        total = np.add(first, second, first)
        for part in rest:
            np.add(total, part, total)
        self._link.send_array(0, GRADIENTS + slot, total)
