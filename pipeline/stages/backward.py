"""backward: computes the gradient with the version that the forward pass used, in one task a shard, or in two."""

from __future__ import annotations

import numpy as np

from ..executors.place import Place
from ..flow.channels import Receiver, Sender
from ..observe.meters import StageMeter
from ..plan.messages import Backwarded, Forwarded

__all__ = ["backward", "recurrence", "weight_gradient"]


async def backward(
    receive_forwarded: Receiver[Forwarded], send_backwarded: Sender[Backwarded], place: Place, meter: StageMeter
) -> None:
    """Compute the backward pass of each batch that comes, and pass its gradient on."""
    with receive_forwarded, send_backwarded, np.errstate(over="ignore", invalid="ignore"):
        async for ticket, loss in receive_forwarded:
            with meter.computing(ticket.batch_number, ticket.version):
                gradients = await place.backward(ticket)
            await send_backwarded.send(Backwarded(ticket, loss, gradients))


async def recurrence(
    receive_forwarded: Receiver[Forwarded], send_recurred: Sender[Forwarded], place: Place, meter: StageMeter
) -> None:
    """The first half of `backward`: carry the gradient of each batch back to its first step."""
    with receive_forwarded, send_recurred, np.errstate(over="ignore", invalid="ignore"):
        async for message in receive_forwarded:
            with meter.computing(message.ticket.batch_number, message.ticket.version):
                await place.recurrence(message.ticket)
            await send_recurred.send(message)


async def weight_gradient(
    receive_recurred: Receiver[Forwarded], send_backwarded: Sender[Backwarded], place: Place, meter: StageMeter
) -> None:
    """The second half of `backward`: the products, and pass the gradient on."""
    with receive_recurred, send_backwarded, np.errstate(over="ignore", invalid="ignore"):
        async for ticket, loss in receive_recurred:
            with meter.computing(ticket.batch_number, ticket.version):
                gradients = await place.weight_gradient(ticket)
            await send_backwarded.send(Backwarded(ticket, loss, gradients))
