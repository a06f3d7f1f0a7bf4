"""load: number the batches of a source and deal their lanes out to the shards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

import numpy as np

from ...core.batch import SequenceBatch
from ..channels import Sender
from ..messages import Loaded
from ..reports import StageMeter

__all__ = ["load"]


async def load(
    batches: AsyncIterator[SequenceBatch],
    lanes: list[slice],
    send_loaded: list[Sender[Loaded]],
    meter: StageMeter,
    limit: int | None,
) -> None:
    """Send each shard its slice of every batch, until the source ends or `limit` batches have gone out.

    Raises ValueError where a batch has another shape than the first.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        shape, index = None, 0
        while limit is None or index < limit:
            with meter.waiting():
                batch = await anext(batches, None)
            if batch is None:
                break
            shape = shape or batch.inputs.shape
            if batch.inputs.shape != shape or batch.targets.shape != shape:
                shapes = f"inputs {batch.inputs.shape} and targets {batch.targets.shape}"
                raise ValueError(f"batch {index}: expected inputs and targets of shape {shape}, got {shapes}")
            for shard, (part, sender) in enumerate(zip(lanes, send_loaded, strict=True)):
                inputs, targets = (np.ascontiguousarray(array[:, part]) for array in batch[:2])
                message = SequenceBatch(inputs, targets, batch.reset)
                await sender.send(Loaded(index, shard, message, batch.inputs.size))
            meter.items += 1
            index += 1
