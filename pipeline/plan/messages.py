"""What travels through the channels. Every message is of one shard of one batch.

Whoever receives a message owns what it refers to, until it sends it on.
"""

from __future__ import annotations

from typing import NamedTuple

from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch

__all__ = ["Backwarded", "Forwarded", "Loaded"]


class Loaded(NamedTuple):
    """load → forward: the lanes of one shard of batch ``number``."""

    number: int
    shard: int
    batch: SequenceBatch
    tokens: int  # time steps × lanes of the whole batch
    total: float  # what its loss and gradients are divided by, so that those of the shards add up


class Forwarded(NamedTuple):
    """forward → backward: ``workspace`` holds the forward pass, computed with ``version``."""

    number: int
    shard: int
    version: int
    workspace: int
    tokens: int
    total: float
    loss: float  # summed over the lanes of the shard, in nats


class Backwarded(NamedTuple):
    """backward → update: the gradient of ``workspace`` is complete."""

    number: int
    shard: int
    version: int
    workspace: int
    tokens: int
    total: float
    loss: float
    gradients: Array  # (ranks, size): the shard's part of the gradient is their sum
