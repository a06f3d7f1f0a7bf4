"""What a run says of itself: a report for each applied batch, and where the time of each stage goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from .channels import ChannelReport, Receiver, Sender

__all__ = ["Report", "StageMeter", "StageReport"]


@dataclass(frozen=True)
class StageReport:
    """Seconds that one stage has spent so far, and the items it has finished."""

    name: str
    items: int
    busy: float
    waiting_for_input: float  # an item, the source, or the planned version
    waiting_for_room: float


@dataclass(frozen=True)
class Report:
    """One applied batch.

    ``step`` counts applied batches from 1 and is the version that this one made; ``version`` is the one that it
    was computed with, ``staleness`` how many updates older than the newest that was. ``loss`` is the mean loss in
    nats a token, measured before the batch changed the weights; ``grad_norm`` is the norm before clipping.
    ``tokens_per_second`` is over the last steps, ``seconds`` since the start of the run.
    """

    step: int
    version: int
    staleness: int
    loss: float
    grad_norm: float
    tokens: int
    tokens_per_second: float
    seconds: float
    stages: tuple[StageReport, ...]
    channels: tuple[ChannelReport, ...]


class StageMeter:
    """Measures one stage: the stage says when it computes, its channel ends say how long it waited."""

    def __init__(self, name: str, receivers: list[Receiver[Any]], senders: list[Sender[Any]]) -> None:
        self.name, self.items = name, 0
        self._receivers, self._senders = receivers, senders
        self._busy = self._waiting = 0.0

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count the time of the block as busy."""
        start = perf_counter()
        try:
            yield
        finally:
            self._busy += perf_counter() - start

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting for input that no channel brings: the source, a version."""
        start = perf_counter()
        try:
            yield
        finally:
            self._waiting += perf_counter() - start

    def report(self) -> StageReport:
        """The times so far."""
        waiting_for_input = self._waiting + sum(receiver.waited for receiver in self._receivers)
        waiting_for_room = sum(sender.waited for sender in self._senders)
        return StageReport(self.name, self.items, self._busy, waiting_for_input, waiting_for_room)
