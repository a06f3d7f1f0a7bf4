"""The wiring of the pipeline: the channels, and the stages between them in one group of tasks.

For M shards, with a chain of channels for each (m = 0 … M−1)::

    batches ─► load ─┬─ loaded m ─► forward m ─ forwarded m ─► backward m ─ backwarded m ─┬─► update ─► on_report
                     │                 ▲                                                  │
                     └ …               └──────────────── free m (workspaces) ◄────────────┘

The only cycle is the one of the free workspaces. It cannot fill up: ``free m`` has room for every workspace there is.
Where the backward pass is split, ``weight gradient m`` stands behind ``backward m``, with ``recurred m`` between them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from ...core.training_state import TrainingState
from .. import stages
from ..executors.place import Place
from ..flow.channels import Channel, ChannelReport, Receiver, Sender
from ..flow.group import Group
from ..observe.meters import StageMeter
from ..observe.reports import StageReport
from ..observe.timeline import Timeline
from ..plan.plan import Plan
from ..stages.versions import VersionStore

__all__ = ["LINKS", "Stage", "Wiring", "run_own_stage"]

LINKS = ("loaded", "forwarded", "backwarded")  # between the stages: where users can put a stage of their own

Stage = Callable[[Receiver[Any], Sender[Any]], Awaitable[None]]


class Wiring:
    """The stages, wired up for `plan`; stages of the user's come in where `between` says, in each shard's chain."""

    def __init__(self, plan: Plan, between: Mapping[str, Stage], timeline: Timeline | None) -> None:
        self._plan, self._between, self._timeline = plan, between, timeline
        self._channels: list[Channel[Any]] = []
        self._free: list[Channel[int]] = []
        self.meters: list[StageMeter] = []

    def reports(self, now: float) -> tuple[tuple[StageReport, ...], tuple[ChannelReport, ...]]:
        """What stages and channels have counted up to `now`."""
        stages = tuple([meter.report(now) for meter in self.meters])
        return stages, tuple([channel.report() for channel in self._channels])

    @contextmanager
    def workspaces(self) -> Iterator[None]:
        """For ``with`` around the group of the tasks: the workspaces that are free.

        Both ends of their channels stay open to the end: update gives back what nobody takes any more.
        """
        with ExitStack() as stack:
            for shard in range(self._plan.shards):
                channel = self._channel(f"free {shard}", self._plan.workspaces())
                self._free.append(channel)
                stack.enter_context(channel.sender)
                stack.enter_context(channel.receiver)
                for workspace in range(channel.capacity):
                    channel.sender.send_nowait(workspace)
            yield

    def start(
        self,
        group: Group,
        intake: stages.Intake,
        batch_numbers: Iterable[int],
        places: Iterable[Place],
        versions: VersionStore,
        state: TrainingState,
        applied: Callable[[stages.Applied], Awaitable[None]],
        *,
        split: bool,
        alone: bool,
    ) -> None:
        """Start the stages, on the batches of `intake`, numbered by `batch_numbers`, until either ends.

        `places` compute the shards. With `split` the backward pass is two stages; with `alone` all stages are one, see
        `recurrio.pipeline.stages.solo`. See the stages for the others.
        """
        if alone:
            names = ("load", "forecast", "forward 0", "backward 0", "update")
            (place,), meters = places, [self._meter(name, [], []) for name in names]
            group.start_soon(stages.solo, intake, meters, place, versions, state, batch_numbers, applied, name="solo")
            return
        plan, shards = self._plan, range(self._plan.shards)
        loaded, forwarded, backwarded = ([self._link(group, link, m) for m in shards] for link in LINKS)

        send = [sender for sender, _ in loaded]
        meter = self._meter("load", [], send)
        forecasting = self._meter("forecast", [], []) if intake.records is not None else meter
        load = partial(stages.load, intake, send, meter, forecasting, versions, state, batch_numbers)
        group.start_soon(load, name=meter.name)
        for m, place in enumerate(places):
            ends = loaded[m][1], self._free[m].receiver, forwarded[m][0]
            meter = self._meter(f"forward {m}", [*ends[:2]], [ends[2]])
            group.start_soon(stages.forward, *ends, place, versions, plan.delay, meter, name=meter.name)
        for m, place in enumerate(places):
            receive, send_on = forwarded[m][1], backwarded[m][0]
            stage: Callable[..., Awaitable[None]] = stages.backward
            name = f"backward {m}"
            if split:
                recurred = self._channel(f"recurred {m}", plan.capacity)
                meter = self._meter(name, [receive], [recurred.sender])
                group.start_soon(stages.recurrence, receive, recurred.sender, place, meter, name=name)
                receive, stage, name = recurred.receiver, stages.weight_gradient, f"weight gradient {m}"
            meter = self._meter(name, [receive], [send_on])
            group.start_soon(stage, receive, send_on, place, meter, name=name)
        receivers = [receiver for _, receiver in backwarded]
        give_back = [channel.sender for channel in self._free]
        meter = self._meter("update", receivers, [])
        update = partial(stages.update, receivers, give_back, versions, state.updater, plan.delay, meter, applied)
        group.start_soon(update, name=meter.name)

    def _channel(self, name: str, capacity: int) -> Channel[Any]:
        self._channels.append(Channel(name, capacity))
        return self._channels[-1]

    def _meter(self, name: str, receivers: list[Receiver[Any]], senders: list[Sender[Any]]) -> StageMeter:
        self.meters.append(StageMeter(name, receivers, senders, self._timeline))
        return self.meters[-1]

    def _link(self, group: Group, link: str, shard: int) -> tuple[Sender[Any], Receiver[Any]]:
        """A channel's sender and its receiver; where the user has a stage there, those before and behind it."""
        channel = self._channel(f"{link} {shard}", self._plan.capacity)
        if link not in self._between:
            return channel.sender, channel.receiver
        behind = self._channel(f"{link} {shard}, passed on", self._plan.capacity)
        meter = self._meter(f"after {link} {shard}", [channel.receiver], [behind.sender])
        own = partial(run_own_stage, self._between[link], channel.receiver, behind.sender, meter.name)
        group.start_soon(own, name=meter.name)
        return channel.sender, behind.receiver


async def run_own_stage(stage: Stage, receive: Receiver[Any], send: Sender[Any], name: str) -> None:
    """Run the user's stage, and close its channels behind it whatever it does.

    Raises RuntimeError where it does not send on each message in order.
    """
    passing: deque[int] = deque()  # the batches that it has

    def check(message: Any) -> None:  # noqa: ANN401 (what travels there)
        following = passing.popleft() if passing else None
        if message.batch_number != following:
            expected = "nothing" if following is None else f"batch {following}"
            raise RuntimeError(f"the stage {name} has sent batch {message.batch_number}, where {expected} was to go on")

    receive.note, send.check = lambda message: passing.append(message.batch_number), check
    with receive, send:
        await stage(receive, send)
        if passing or not receive.ended:
            kept = f"batch {passing[0]} to go on" if passing else "its input to end"
            raise RuntimeError(f"the stage {name} has returned, where there was {kept}")
