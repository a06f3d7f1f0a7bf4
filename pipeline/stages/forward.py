"""forward: one task a shard; waits for the planned parameter version and computes the loss."""

from __future__ import annotations

import numpy as np

from ...core.optim.updater import planned_version
from ..executors.place import Place
from ..flow.channels import Receiver, Sender
from ..observe.meters import StageMeter
from ..plan.messages import Forwarded, Loaded, Ticket
from .versions import VersionStore

__all__ = ["forward"]


async def forward(
    receive_loaded: Receiver[Loaded],
    receive_free: Receiver[int],
    send_forwarded: Sender[Forwarded],
    place: Place,
    versions: VersionStore,
    delay: int,
    meter: StageMeter,
) -> None:
    """Compute the forward pass of each batch with version ``max(0, batch_number − delay)``, in a free workspace."""
    with receive_loaded, send_forwarded, np.errstate(over="ignore", invalid="ignore"):
        async for number, shard, batch, size, total in receive_loaded:
            workspace = await receive_free.receive()
            version = planned_version(number, delay)
            if versions.latest < version:
                with meter.waiting_for_input():
                    await versions.wait_for(version)
            ticket, row = Ticket(number, shard, version, workspace, size, total), versions.row(version)
            with meter.computing(number, version):
                loss = await place.forward(ticket, row, batch)
            await send_forwarded.send(Forwarded(ticket, loss))
