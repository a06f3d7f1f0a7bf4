"""backward: computes the gradient with the version that the forward pass used, in one task a shard, or in two."""

from __future__ import annotations

from ...core.base.parameters import Array
from ..executors.place import Place
from ..flow.channels import Receiver, Sender
from ..observe.meters import StageMeter
from ..plan.messages import Backwarded, Forwarded

__all__ = ["backward", "recurrence", "weight_gradient"]


async def backward(
    receive_forwarded: Receiver[Forwarded],
    send_backwarded: Sender[Backwarded],
    place: Place,
    gradients: Array,
    meter: StageMeter,
) -> None:
    """Compute the backward pass of each batch that comes, and pass its gradient on.

    `gradients` ``(ranks, workspaces, size)`` is where the place leaves them.
    """
    with receive_forwarded, send_backwarded:
        async for message in receive_forwarded:
            with meter.computing(message.number, message.version):
                await place.backward(message.workspace, 1 / message.total, whole=True)
            await send_backwarded.send(Backwarded(*message, gradients[:, message.workspace]))


async def recurrence(
    receive_forwarded: Receiver[Forwarded], send_recurred: Sender[Forwarded], place: Place, meter: StageMeter
) -> None:
    """The first half of `backward`: carry the gradient of each batch back to its first step."""
    with receive_forwarded, send_recurred:
        async for message in receive_forwarded:
            with meter.computing(message.number, message.version):
                await place.backward(message.workspace, 1 / message.total, whole=False)
            await send_recurred.send(message)


async def weight_gradient(
    receive_recurred: Receiver[Forwarded],
    send_backwarded: Sender[Backwarded],
    place: Place,
    gradients: Array,
    meter: StageMeter,
) -> None:
    """The second half of `backward`: the products, and pass the gradient on."""
    with receive_recurred, send_backwarded:
        async for message in receive_recurred:
            with meter.computing(message.number, message.version):
                await place.weight_gradient(message.workspace)
            await send_backwarded.send(Backwarded(*message, gradients[:, message.workspace]))
