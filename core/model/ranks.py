"""How many ranks a model is trained with."""

from __future__ import annotations

from .trainable import Trainable

__all__ = ["default_ranks"]


def default_ranks(model: Trainable, shards: int, delay: int) -> int:
    """Ranks by the sizes alone, never by the machine, because their number can change the last bits.

    Two, where the units of one shard are enough to share and nothing else can be computed at the same time; one
    where there are several shards, or a delay.
    """
    return 2 if shards == 1 and delay == 0 and model.network.most_ranks >= 64 else 1
