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
    first: SequenceBatch,
    rest: AsyncIterator[SequenceBatch],
    lanes: list[slice],
    send_loaded: list[Sender[Loaded]],
    meter: StageMeter,
    vocabulary_size: int,
    limit: int | None,
) -> None:
    """Send each shard its slice of `first` and of the `rest`, until they end or `limit` batches have gone out.

    Raises ValueError where a batch has another shape than the first, or anything but tokens ``0…V−1``.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        shape, number = first.inputs.shape, 0
        batch: SequenceBatch | None = first
        while batch is not None:
            if batch.inputs.shape != shape or batch.targets.shape != shape:
                shapes = f"inputs {batch.inputs.shape} and targets {batch.targets.shape}"
                raise ValueError(f"batch {number}: expected inputs and targets of shape {shape}, got {shapes}")
            for name, tokens in (("inputs", batch.inputs), ("targets", batch.targets)):
                low, high = tokens.min(), tokens.max()
                if tokens.dtype.kind not in "iu" or low < 0 or high >= vocabulary_size:
                    expected = f"{name} to be whole numbers from 0 to {vocabulary_size - 1}"
                    raise ValueError(f"batch {number}: expected {expected}, got {low} to {high}, {tokens.dtype}")
            for shard, (part, sender) in enumerate(zip(lanes, send_loaded, strict=True)):
                inputs, targets = (np.ascontiguousarray(array[:, part]) for array in batch[:2])
                message = SequenceBatch(inputs, targets, batch.reset)
                await sender.send(Loaded(number, shard, message, batch.inputs.size))
            meter.items += 1
            number += 1
            if number == limit:
                break
            with meter.waiting():
                batch = await anext(rest, None)
