"""A training run from the command line: what ends it, and what is said while nothing has come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from ..observe.timeline import Timeline
from ..sources import shown
from .display import Display
from .job import Job, Sinks
from .outcome import Outcome
from .saving import Saving
from .settings import Settings
from .signals import Interrupts
from .train_records import train_records
from .train_task import train_task
from .train_text import train_text

__all__ = ["train"]

GRACE = 5.0  # seconds
SILENT = 1.0  # seconds
TICK = 0.5  # seconds


async def train(
    settings: Settings,
    display: Display,
    interrupts: Interrupts,
    seconds: float = math.inf,
    timeline: Timeline | None = None,
    sinks: Sinks = Sinks(),  # noqa: B008 (it cannot change)
    saving: Saving | None = None,
    init: str | None = None,
) -> Outcome:
    """Train as `settings` say, for at most `seconds`, until the source ends, a signal comes or a stage fails.

    The first of the `interrupts`, which the caller holds, ends the run in good order: nothing more is taken in, what is
    in flight is applied if it takes no longer than `GRACE`, and the model is that of the batches applied. `timeline`
    records who computed what, and when; `sinks` take what else comes out; `saving` has the checkpoints, and
    `init` names a model to begin with.
    """
    run, token = Outcome(), trio.lowlevel.current_trio_token()
    training, opening, ticking = trio.CancelScope(), trio.CancelScope(), trio.CancelScope()
    job = train_task if settings.task is not None else train_text if settings.records is None else train_records

    def stop() -> None:
        if run.trainer is None or not run.trainer.stop(GRACE):
            training.cancel()  # it has not begun

    async with trio.open_nursery() as nursery:
        with interrupts.forward(partial(token.run_sync_soon, stop)), training, trio.move_on_after(seconds):
            try:
                nursery.start_soon(_explain, settings.sources, display, opening)
                nursery.start_soon(_tick, display, run, saving, ticking)
                await job(Job(settings, display, interrupts, run, opening, timeline, sinks, saving, init))
            except Exception as error:  # the caller saves what was applied before it shows the error
                run.error = error
        opening.cancel()
        ticking.cancel()
    return run


async def _explain(sources: Sequence[str], display: Display, opening: trio.CancelScope) -> None:
    """Say what is waited for, where that takes its time."""
    with opening:
        await trio.sleep(SILENT)
        with suppress(OSError):  # the next message meets it as well
            names = ", ".join("standard input" if source == "-" else shown(source) for source in sources)
            display.wait(f"reading {names}: the first batch is not there yet")


async def _tick(display: Display, run: Outcome, saving: Saving | None, ticking: trio.CancelScope) -> None:
    """Let what is shown go on where no batch comes."""
    with ticking, suppress(OSError):  # see above
        while True:
            display.tick(run, None if saving is None else saving.checkpoints)
            await trio.sleep(TICK)
