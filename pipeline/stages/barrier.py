"""The barrier: gathers the state of a run between two batches, while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from ...core.base.state import Part

__all__ = ["Barrier"]

PATIENCE = 0.05  # seconds between two looks at whether there is a place for one


class Barrier:
    """Gathers a state `every` so many batches, or as a float seconds, or None where it is asked alone.

    Before a batch of some number is loaded, ``load`` leaves here what its source has; ``update``, when it has applied
    all batches before that number, which ``applied`` counts, adds the rest. Nothing stops meanwhile, because all that
    belongs to that place is there until the batch with that number is applied. `gathered` is told of each.
    """

    def __init__(self, every: float | None, applied: Callable[[], int], gathered: Callable[[int, Part], None]) -> None:
        self._every, self._applied, self._gathered = every, applied, gathered
        self._due = trio.current_time() + (every if isinstance(every, float) else 0.0)
        self._waiting: tuple[int, Part] | None = None
        self._last = applied()
        self._asked = trio.Event()

    def ask(self) -> None:
        """Let a state be gathered as soon as it can be."""
        self._asked.set()

    async def wait(self) -> None:
        """Wait until one is due by the clock, or asked for."""
        seconds = self._due - trio.current_time() if isinstance(self._every, float) else math.inf
        with trio.move_on_after(max(seconds, PATIENCE)):
            await self._asked.wait()
            await trio.sleep(PATIENCE)

    def due(self, number: int) -> bool:
        """Whether a state is to be gathered before the batch of this number."""
        if self._waiting is not None:
            return False
        if self._asked.is_set() or self._every is None:
            return self._asked.is_set()
        if isinstance(self._every, float):
            return trio.current_time() >= self._due
        return number % self._every == 0 and number > self._last

    def following(self, number: int) -> int | None:
        """Before which batch, behind this number, the next state is due for certain; None where it is the clock's."""
        return (number // self._every + 1) * self._every if isinstance(self._every, int) else None

    def enter(self, number: int, source: Part) -> None:
        """Before the batch of this number the source has this."""
        self._waiting = number, source
        self.meet()

    def meet(self) -> None:
        """A batch may have been applied: where all before the one that waits here are, the state is complete."""
        if self._waiting is None or self._waiting[0] != self._applied():
            return
        (number, source), self._waiting = self._waiting, None
        self._asked, self._last = trio.Event(), number
        if isinstance(self._every, float):
            self._due = trio.current_time() + self._every
        self._gathered(number, source)
