"""load: number the batches of a source and deal their lanes out to the shards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack

from ...core.batch import SequenceBatch
from ...core.errors import ArgumentError
from ...core.network import Network
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
    network: Network,
    limit: int | None,
) -> None:
    """Send each shard its slice of `first` and of the `rest`, until they end or `limit` batches have gone out.

    Raises ArgumentError where a batch has another shape than the first, or does not fit the model.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        shape, number = first.inputs.shape, 0
        batch: SequenceBatch | None = first
        while batch is not None:
            if batch.inputs.shape != shape:
                raise ArgumentError(f"batch {number}: inputs", f"the shape {shape} of the first", batch.inputs.shape)
            try:
                network.check(batch)
            except ArgumentError as error:
                raise ArgumentError(f"batch {number}: {error.argument}", error.expected, error.got) from None
            total = network.total(batch)
            for shard, (part, sender) in enumerate(zip(lanes, send_loaded, strict=True)):
                await sender.send(Loaded(number, shard, batch.lanes(part), batch.tokens, total))
            meter.items += 1
            number += 1
            if number == limit:
                break
            with meter.waiting():
                batch = await anext(rest, None)
