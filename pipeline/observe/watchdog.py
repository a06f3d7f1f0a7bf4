"""The watchdog: ends a run in which a stage hangs, and names the stage."""

from __future__ import annotations

import trio

from .meters import StageMeter

OVERSLEPT = 0.25  # of the time it is set to: if it wakes up so much too late, the process or its event loop stood still

__all__ = ["StageHungError", "watch"]


class StageHungError(RuntimeError):
    """A stage has been at one item for longer than the watchdog allows."""


async def watch(meters: list[StageMeter], seconds: float) -> None:
    """Raise StageHungError once one of the stages of `meters` has been at one item for `seconds`.

    Waiting does not count: not for input, which live data may be slow to bring, nor for a version or for room, which
    somebody else is to blame for. Nor does time in which the whole process stood still. What hangs in the event loop
    itself cannot be seen from there.
    """
    awake = trio.current_time()
    while True:
        now = trio.current_time()
        since = {meter.name: max(awake, start) for meter in meters if (start := meter.busy_since()) is not None}
        if since:
            name, start = min(since.items(), key=lambda item: item[1])
            if now - start >= seconds:
                raise StageHungError(f"stage {name} has been at one item for {now - start:.1f} s")
        until = min(since.values(), default=now) + seconds
        await trio.sleep_until(until)
        if trio.current_time() > until + OVERSLEPT * seconds:
            awake = trio.current_time()
