"""What travels through the channels. Every message is of one shard of one batch.

Whoever receives a message owns what it refers to, until it sends it on.
"""

from __future__ import annotations

from typing import NamedTuple

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch

__all__ = ["Backwarded", "Forwarded", "Loaded", "Ticket"]


class Loaded(NamedTuple):
    """load → forward: the lanes of one shard of a batch."""

    batch_number: int
    shard: int
    batch: SequenceBatch
    size: int  # time steps × lanes of the whole batch
    total: float  # what its loss and gradients are divided by, so that those of the shards add up


class Ticket(NamedTuple):
    """A shard of a batch on its way: in ``workspace``, computed with the parameters ``version``.

    ``size`` and ``total`` are those of `Loaded`.
    """

    batch_number: int
    shard: int
    version: int
    workspace: int
    size: int
    total: float


class Forwarded(NamedTuple):
    """forward → backward: the workspace holds the forward pass."""

    ticket: Ticket
    loss: float  # summed over the lanes of the shard

    @property
    def batch_number(self) -> int:
        """That of the ticket."""
        return self.ticket.batch_number


class Backwarded(NamedTuple):
    """backward → update: the gradient of the shard is complete."""

    ticket: Ticket
    loss: float
    gradients: Array  # (ranks, size): the shard's part of the gradient is their sum

    @property
    def batch_number(self) -> int:
        """That of the ticket."""
        return self.ticket.batch_number
