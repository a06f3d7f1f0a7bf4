"""update: joins the shard gradients of a batch in shard order and turns version n into version n+1."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import numpy as np
import trio

from ...core.optim.optimizers import Optimizer
from ...core.optim.schedules import Schedule
from ...core.serial import planned_version
from ...core.serial import update as apply
from ..flow.channels import Receiver, Sender
from ..observe.meters import StageMeter
from ..plan.messages import Backwarded
from .versions import VersionStore

__all__ = ["Applied", "update"]

Applied = Callable[[int, int, float, float, int], None]  # step, version, loss, gradient norm, tokens


async def update(
    receive_backwarded: list[Receiver[Backwarded]],
    send_free: list[Sender[int]],
    versions: VersionStore,
    optimizer: Optimizer,
    clip: float | None,
    schedule: Schedule | None,
    delay: int,
    meter: StageMeter,
    applied: Applied,
    loss: float | None,
) -> None:
    """Apply every batch, give its workspaces back, and call `applied`.

    Receiving from the shards in turn is what fixes the order of the sum. `loss` is that of the batch before the first,
    for the schedule.
    """
    scratch = np.empty_like(versions.parameters(versions.latest))
    with ExitStack() as stack:
        for receiver in receive_backwarded:
            stack.enter_context(receiver)
        while True:
            received = [await _next(receiver) for receiver in receive_backwarded]
            messages = [message for message in received if message is not None]
            if not messages:
                return
            if len(messages) < len(received):
                raise RuntimeError(f"some shards have ended before batch {versions.latest}, and others have not")
            number, version = messages[0].number, planned_version(versions.latest, delay)
            if any(message.number != versions.latest or message.version != version for message in messages):
                got = ", ".join(f"batch {message.number} with version {message.version}" for message in messages)
                raise RuntimeError(f"expected batch {versions.latest} with version {version} of all shards, got {got}")
            parts = [part for message in messages for part in message.gradients]
            if schedule is not None:
                optimizer.lr = schedule.lr(number, loss)
            loss = 0.0
            for message in messages:  # not sum(), which rounds in another way from Python 3.12 on
                loss += message.loss
            loss /= messages[0].total
            with meter.computing(number, version):
                next_parameters = versions.parameters(number + 1)
                norm = apply(versions.parameters(number), parts, optimizer, clip, next_parameters, scratch)
            versions.publish()
            applied(number + 1, version, loss, norm, messages[0].tokens)
            for sender, message in zip(send_free, messages, strict=True):
                sender.send_nowait(message.workspace)  # there is room for all


async def _next(receiver: Receiver[Backwarded]) -> Backwarded | None:
    try:
        return await receiver.receive()
    except trio.EndOfChannel:
        return None
