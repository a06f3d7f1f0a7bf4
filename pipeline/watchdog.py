"""The watchdog: ends a run in which a stage hangs, and names the stage."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from .places import Place, ThreadPlace
from .reports import StageMeter

OVERSLEPT = 1.0  # seconds too late: the process was stopped or the machine suspended, which is no stage's fault

__all__ = ["StageHungError", "watch"]


class StageHungError(RuntimeError):
    """A stage has been at one item for longer than the watchdog allows."""


async def watch(meters: Sequence[StageMeter], places: Sequence[Place], seconds: float) -> None:
    """Raise StageHungError once a stage has been at one item for `seconds`.

    Waiting does not count: not for input, which live data may be slow to bring, nor for a version or for room, which
    somebody else is to blame for. A thread that hangs is given up. What hangs in the event loop itself cannot be seen.
    """
    awake = trio.current_time()
    while True:
        now = trio.current_time()
        since = {meter.name: max(awake, start) for meter in meters if (start := meter.busy_since()) is not None}
        late = [name for name, start in since.items() if now - start >= seconds]
        if late:
            for place in places:
                if isinstance(place, ThreadPlace):
                    place.give_up()
            raise StageHungError(f"stage {late[0]} has been at one item for {now - since[late[0]]:.1f} s")
        until = min(since.values(), default=now) + seconds
        await trio.sleep_until(until)
        if trio.current_time() > until + OVERSLEPT:
            awake = trio.current_time()
