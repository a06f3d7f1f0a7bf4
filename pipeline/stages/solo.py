"""solo: load, forward, backward and update in one task, where no two of them could work at the same time.

With one shard, no delay, and passes in the event loop itself, each stage only ever waits for the others. Their channels
then cost more than the passes of a small batch; here there are none. The numbers are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import numpy as np
import trio

from ...core.training_state import TrainingState
from ..executors.place import Place
from ..observe.meters import StageMeter
from ..plan.messages import Backwarded, Ticket
from .intake import Intake
from .load import divide, next_batch
from .update import Applied, apply
from .versions import VersionStore

__all__ = ["solo"]

TURN = 0.002  # seconds after which others have their turn


async def solo(
    intake: Intake,
    meters: list[StageMeter],
    place: Place,
    versions: VersionStore,
    state: TrainingState,
    batch_numbers: Iterable[int],
    applied: Callable[[Applied], Awaitable[None]],
) -> None:
    """Train on the batches from `intake`, numbered by `batch_numbers`, until either ends; see the stages.

    `meters` are those of load, forecast, forward, backward and update; `place` computes without a checkpoint.
    """
    loading, forecasting, forwarding, backwarding, updating = meters
    now = loading.waiting.now
    turn = now() + TURN
    with np.errstate(over="ignore", invalid="ignore"):
        for number in batch_numbers:
            batch = await next_batch(intake, number, loading, forecasting, versions, state)
            if batch is None:
                return
            begun = now()
            (own,), total = divide(batch, number, state, intake.records)
            ticket = Ticket(number, 0, number, 0, batch.size, total)
            loaded = now()
            loss = await place.forward(ticket, versions.row(number), own)
            forwarded = now()
            message = Backwarded(ticket, loss, await place.backward(ticket))
            backwarded = now()
            done = apply([message], versions, state.updater)
            updated = now()
            loading.computed(number, None, begun, loaded)
            forwarding.computed(number, number, loaded, forwarded)
            backwarding.computed(number, number, forwarded, backwarded)
            updating.computed(number, number, backwarded, updated)
            await applied(done)
            if updated >= turn:
                await trio.lowlevel.checkpoint()
                turn = updated + TURN
