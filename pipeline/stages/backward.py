"""backward: one task a shard; computes the gradient with the version that the forward pass used."""

from __future__ import annotations

from ..channels import Receiver, Sender
from ..messages import Backwarded, Forwarded
from ..places import Place
from ..reports import StageMeter
from ..versions import VersionStore

__all__ = ["backward"]


async def backward(
    receive_forwarded: Receiver[Forwarded],
    send_backwarded: Sender[Backwarded],
    place: Place,
    versions: VersionStore,
    meter: StageMeter,
) -> None:
    """Compute the backward pass of each batch that comes, and pass its gradient on."""
    with receive_forwarded, send_backwarded:
        async for number, shard, version, workspace, tokens, total, loss in receive_forwarded:
            with meter.computing():
                await place.backward(workspace, 1 / total)
            meter.items += 1
            await send_backwarded.send(Backwarded(number, shard, version, workspace, tokens, total, loss))
