"""Meters: how long a stage computes, and what it waits for."""

from __future__ import annotations

from typing import Any

from ..flow.channels import Receiver, Sender, Waiting
from .reports import StageReport
from .timeline import Timeline

__all__ = ["StageMeter"]


class _ForInput:
    """A block that waits. A class, because a generator takes four times as long, and every batch comes by."""

    __slots__ = ("_start", "_waiting")

    def __init__(self, waiting: Waiting) -> None:
        self._waiting, self._start = waiting, 0.0

    def __enter__(self) -> None:
        self._start = self._waiting.begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._waiting.input += self._waiting.end(self._start)


class _ForRoom(_ForInput):
    """The same, where somebody else does not take what there is."""

    __slots__ = ()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._waiting.room += self._waiting.end(self._start)


class StageMeter:
    """Measures one stage: the stage says when it computes, and its channel ends say when it waits.

    A stage that does not say when it computes is busy whenever it does not wait; one without channels is only when it
    says so.
    """

    def __init__(
        self,
        name: str,
        receivers: list[Receiver[Any]],
        senders: list[Sender[Any]],
        timeline: Timeline | None = None,
    ) -> None:
        self.name, self.items, self.waiting = name, 0, Waiting()
        ends: list[Receiver[Any] | Sender[Any]] = [*receivers, *senders]
        for end in ends:
            end.waiting = self.waiting
        self._alone = not ends
        self.waiting.idle += self._alone
        self._timeline, self._busy = timeline, 0.0
        self._start = self._began = self.waiting.resumed = self.waiting.now()
        self._for_input, self._for_room = _ForInput(self.waiting), _ForRoom(self.waiting)
        self._batch = 0
        self._version: int | None = None

    def computing(self, batch: int, version: int | None = None) -> StageMeter:
        """For ``with``: count the time of the block as busy, and the batch as an item, if it comes to its end."""
        self._batch, self._version = batch, version
        return self

    def __enter__(self) -> None:
        self._began = self.waiting.now()
        if self._alone:
            self.waiting.idle -= 1
            self.waiting.resumed = self._began

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.waiting.idle += self._alone
        if kind is None:
            self.computed(self._batch, self._version, self._began, self.waiting.now())

    def computed(self, batch: int, version: int | None, start: float, end: float) -> None:
        """Count a batch that took from `start` to `end`, by trio's clock, in a task that computes without a break."""
        self._busy += end - start
        self.items += 1
        if self._timeline is not None:
            self._timeline.add(self.name, batch, version, start, end)

    def waiting_for_input(self) -> _ForInput:
        """For ``with``: count the time of the block as waiting for what no channel brings: the source, a version."""
        return self._for_input

    def waiting_for_room(self) -> _ForRoom:
        """The same for whoever is told of what was done, and takes its time."""
        return self._for_room

    def busy_since(self) -> float | None:
        """Since when, by trio's clock, the stage has been at one item; None while it waits."""
        return None if self.waiting.idle else self.waiting.resumed

    def report(self, now: float) -> StageReport:
        """The times up to `now`."""
        waiting, seconds = self.waiting, now - self._start
        busy = self._busy if self.items or self._alone else max(0.0, seconds - waiting.input - waiting.room)
        return StageReport(self.name, self.items, seconds, busy, waiting.input, waiting.room)
