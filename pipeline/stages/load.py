"""load: number the batches of a source and deal their lanes out to the shards."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

from ...core.base.checks import ArgumentError
from ...core.model.batch import SequenceBatch
from ...core.optim.updater import planned_version
from ...core.training_state import TrainingState
from ..flow.channels import Sender
from ..lanes.live import Arrivals, LiveSource
from ..observe.meters import StageMeter
from ..plan.messages import Loaded
from .intake import Intake
from .versions import VersionStore

__all__ = ["divide", "load", "next_batch"]


async def load(
    intake: Intake,
    send_loaded: list[Sender[Loaded]],
    meter: StageMeter,
    forecasting: StageMeter,
    versions: VersionStore,
    state: TrainingState,
    batch_numbers: Iterable[int],
) -> None:
    """Send each shard its part of the batches from `intake`, numbered by `batch_numbers`, until either ends.

    Records that arrive in between are forecast, at once and with the version that a batch would have that was composed
    now: ``max(0, n − delay)``, for the number n of the next batch.

    A part is a copy of lanes, where there are several: a source may use its arrays again. Raises ArgumentError where a
    batch is larger than `state` has room for, or does not fit the model.
    """
    with ExitStack() as stack:
        for sender in send_loaded:
            stack.enter_context(sender)
        for number in batch_numbers:
            batch = await next_batch(intake, number, meter, forecasting, versions, state)
            if batch is None:
                return
            with meter.computing(number):
                shards, total = divide(batch, number, state, intake.records)
            for shard, (own, sender) in enumerate(zip(shards, send_loaded, strict=True)):
                await sender.send(Loaded(number, shard, own, batch.size, total))


async def next_batch(
    intake: Intake,
    number: int,
    meter: StageMeter,
    forecasting: StageMeter,
    versions: VersionStore,
    state: TrainingState,
) -> SequenceBatch | None:
    """The batch that is to have this number, None at the end; what arrives before it has been forecast."""
    while True:
        with meter.waiting_for_input():
            item = await intake.next(number)
        if not isinstance(item, Arrivals):
            return item
        assert intake.records is not None
        version = planned_version(number, state.delay)
        if versions.latest < version:
            with meter.waiting_for_input():
                await versions.wait_for(version)
        with forecasting.computing(number, version):
            intake.records.forecast(item, version, versions.parameters(version))


def divide(
    batch: SequenceBatch, number: int, state: TrainingState, records: LiveSource | None
) -> tuple[list[SequenceBatch], float]:
    """The part of each shard of a batch, and what its loss and gradients are divided by.

    Raises ArgumentError where it does not fit the model or is too large; one made of `records` fits.
    """
    if batch.actions:
        state.updater.actions.plan(number, batch.actions)
    try:
        if records is None:
            state.model.network.check(batch)
        used = 0 if records is None else records.rows
        return state.divide(batch, used), state.model.network.total(batch)
    except ArgumentError as error:
        raise ArgumentError(f"batch {number}: {error.argument}", error.expected, error.got) from None
