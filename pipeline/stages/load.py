"""load: number the batches of a source and deal their lanes out to the shards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack, nullcontext

import trio

from ...core.base.checks import ArgumentError
from ...core.model.batch import SequenceBatch
from ...core.model.network import Network
from ..flow.channels import Sender
from ..observe.meters import StageMeter
from ..plan.messages import Loaded

__all__ = ["Intake", "load"]


class Intake:
    """The way in: `first`, and batches of `source` until it ends, until `close`, or `limit` in all.

    `waits` says whether the source can wait for a batch.
    """

    def __init__(
        self, first: SequenceBatch, source: AsyncIterator[SequenceBatch], limit: int | None, *, waits: bool
    ) -> None:
        self._first: SequenceBatch | None = first
        self._source, self._left, self._waits = source, limit, waits
        self._closed = False
        self._waiting: trio.CancelScope | None = None

    async def next(self) -> SequenceBatch | None:
        """The next batch; None when there is none any more."""
        if self.closed:
            return None
        batch, self._first = self._first, None
        if batch is None:
            with trio.CancelScope() if self._waits else nullcontext() as self._waiting:
                batch = await anext(self._source, None)
            self._closed = self._closed or batch is None  # closed meanwhile, it stays so
        if self._left is not None:
            self._left -= 1
        return batch

    @property
    def closed(self) -> bool:
        """Whether no more batches will come."""
        return self._left == 0 or (self._closed and self._first is None)

    def close(self) -> None:
        """Take nothing more from the source; a wait for it ends."""
        self._closed = True
        if self._waiting is not None:
            self._waiting.cancel()


async def load(
    intake: Intake,
    shape: tuple[int, ...],
    lanes: list[slice],
    send_loaded: list[Sender[Loaded]],
    meter: StageMeter,
    network: Network,
    numbers: Iterable[int],
) -> None:
    """Send each shard its slice of the batches from `intake`, numbered by `numbers`, until either ends.

    Raises ArgumentError where the inputs of a batch have another `shape`, or it does not fit the model.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        for number in numbers:
            with meter.waiting_for_input():
                batch = await intake.next()
            if batch is None:
                return
            with meter.computing(number):
                if batch.inputs.shape != shape:
                    expected = f"the shape {shape} of the first"
                    raise ArgumentError(f"batch {number}: inputs", expected, batch.inputs.shape)
                try:
                    network.check(batch)
                except ArgumentError as error:
                    raise ArgumentError(f"batch {number}: {error.argument}", error.expected, error.got) from None
                total = network.total(batch)
            for shard, (part, sender) in enumerate(zip(lanes, send_loaded, strict=True)):
                await sender.send(Loaded(number, shard, batch.lanes(part), batch.tokens, total))
