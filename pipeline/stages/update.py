"""update: joins the shard gradients of a batch in shard order and turns version n into version n+1."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Any, NamedTuple

import trio

from ...core.base.checks import ArgumentError
from ...core.optim.updater import Updater, planned_version
from ..flow.channels import Receiver, Sender
from ..observe.meters import StageMeter
from ..plan.messages import Backwarded
from .versions import VersionStore

__all__ = ["Applied", "apply", "update"]


class Applied(NamedTuple):
    """A batch that was applied: its number, the version it was computed with, its mean loss, and so on."""

    batch_number: int
    version: int
    loss: float
    grad_norm: float
    size: int  # time steps × lanes

    def dump(self) -> list[Any]:
        """It, as JSON; floats that are not finite too."""
        return [self.batch_number, self.version, float(self.loss).hex(), float(self.grad_norm).hex(), self.size]

    @classmethod
    def of(cls, state: list[Any]) -> Applied:
        """That which `dump` gave. Raises ArgumentError."""
        try:
            number, version, loss, norm, size = state
            return cls(int(number), int(version), float.fromhex(loss), float.fromhex(norm), int(size))
        except (TypeError, ValueError):
            raise ArgumentError("last", "a batch that was applied", state) from None


async def update(
    receive_backwarded: list[Receiver[Backwarded]],
    send_free: list[Sender[int]],
    versions: VersionStore,
    updater: Updater,
    delay: int,
    meter: StageMeter,
    applied: Callable[[Applied], Awaitable[None]],
) -> None:
    """Apply every batch, give its workspaces back, and call `applied`.

    Receiving from the shards in turn is what fixes the order of the sum.
    """
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
            ticket, version = messages[0].ticket, planned_version(versions.latest, delay)
            if any(
                other.ticket.batch_number != versions.latest or other.ticket.version != version for other in messages
            ):
                raise _out_of_order(messages, versions.latest, version)
            with meter.computing(ticket.batch_number, ticket.version):
                done = apply(messages, versions, updater)
            for sender, message in zip(send_free, messages, strict=True):
                sender.send_nowait(message.ticket.workspace)  # there is room for all
            with meter.waiting_for_room():  # whoever is told may take its time
                await applied(done)


@trio.lowlevel.enable_ki_protection  # a batch is applied, with all that belongs to it, or it is not
def apply(messages: list[Backwarded], versions: VersionStore, updater: Updater) -> Applied:
    """Turn the latest version into the next one, with what all shards of a batch have, in their order."""
    ticket, number, loss = messages[0].ticket, versions.latest, 0.0
    for message in messages:  # not sum(), which rounds in another way from Python 3.12 on
        loss += message.loss
    loss /= ticket.total
    parts = [part for message in messages for part in message.gradients]
    norm = updater.apply(number, versions.parameters(number), parts, loss, versions.parameters(number + 1))
    versions.publish()
    return Applied(number, ticket.version, loss, norm, ticket.size)


def _out_of_order(messages: list[Backwarded], number: int, version: int) -> RuntimeError:
    tickets = [message.ticket for message in messages]
    got = ", ".join(f"batch {ticket.batch_number} with version {ticket.version}" for ticket in tickets)
    return RuntimeError(f"expected batch {number} with version {version} of all shards, got {got}")


async def _next(receiver: Receiver[Backwarded]) -> Backwarded | None:
    try:
        return await receiver.receive()
    except trio.EndOfChannel:
        return None
