"""load: number the batches of a source and deal their lanes out to the shards."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from ...core.base.checks import ArgumentError
from ...core.model.network import Network
from ..flow.channels import Sender
from ..observe.meters import StageMeter
from ..plan.messages import Loaded
from .intake import Intake

__all__ = ["load"]


async def load(
    intake: Intake,
    steps: int,
    parts: list[slice],
    send_loaded: list[Sender[Loaded]],
    meter: StageMeter,
    network: Network,
    batch_numbers: Iterable[int],
) -> None:
    """Send each shard its part of the batches from `intake`, numbered by `batch_numbers`, until either ends.

    A part is a copy of lanes: a source may use its arrays again. Raises ArgumentError where a batch has more than
    `steps`, or more lanes than all `parts`, or does not fit the model.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        for number in batch_numbers:
            with meter.waiting_for_input():
                batch = await intake.next()
            if batch is None:
                return
            with meter.computing(number):
                try:
                    network.check(batch)
                    batch.check_size(steps, parts[-1].stop)
                except ArgumentError as error:
                    raise ArgumentError(f"batch {number}: {error.argument}", error.expected, error.got) from None
                total = network.total(batch)
                shards = batch.shards(parts)
            for shard, (own, sender) in enumerate(zip(shards, send_loaded, strict=True)):
                await sender.send(Loaded(number, shard, own, batch.size, total))
