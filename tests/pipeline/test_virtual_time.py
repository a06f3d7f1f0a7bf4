"""Back-pressure, the watchdog and the deadline, in virtual time."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from recurrio.core import SGD, SequenceBatch, SequenceModel
from recurrio.core.model.shard import Shard
from recurrio.core.serial import train
from recurrio.pipeline import Records, Report, StageHungError, Trainer
from recurrio.pipeline.executors.inline import InlinePlace
from recurrio.pipeline.flow.channels import Channel, Receiver, Sender
from recurrio.pipeline.observe.meters import StageMeter
from recurrio.pipeline.observe.watchdog import watch
from recurrio.pipeline.plan import plan

V = 7
Batches = Callable[..., list[SequenceBatch]]


def make_trainer(**options: Any) -> Trainer:  # noqa: ANN401 (Trainer's own)
    model = SequenceModel(V, embedding_size=3, hidden_size=4, seed=1)
    return Trainer(model, SGD(0.1), **{"executor": "inline", **options})


@pytest.mark.parametrize("capacity", [0, 1, 4])
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("shards", [1, 2])
async def test_a_stage_that_stands_still_holds_the_source_back(
    shards: int, delay: int, capacity: int, make_batches: Batches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "processors", lambda: 8)
    taken, opened = 0, trio.Event()

    async def source() -> AsyncIterator[SequenceBatch]:
        nonlocal taken
        for batch in make_batches(40, 3, 2, V):
            taken += 1
            yield batch

    async def gate(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            await opened.wait()
            await send.send(message)

    trainer, reports = make_trainer(shards=shards, delay=delay, capacity=capacity), list[Report]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: trainer.run(source(), between={"backwarded": gate}, on_report=reports.append))
        await wait_all_tasks_blocked()
        # In flight, with the one that forward waits with, as far as the stages and channels behind it have room; then
        # what is in the loaded channel, and in load's own hands.
        assert taken == min(delay + 2, 3 + 2 * capacity) + capacity + 1
        opened.set()
    assert len(reports) == 40
    assert all(channel.peak <= channel.capacity for report in reports for channel in report.channels)


@pytest.mark.parametrize(
    ("name", "method"),
    [("forward 1", "forward"), ("backward 0", "recurrence"), ("weight gradient 1", "weight_gradient")],
)
async def test_the_watchdog_names_the_stage_that_hangs(
    name: str, method: str, make_batches: Batches, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(plan, "SPLIT", 0)
    places, right, make = list[InlinePlace](), getattr(InlinePlace, method), InlinePlace.__init__

    def numbered(self: InlinePlace, *arguments: Any) -> None:  # noqa: ANN401
        make(self, *arguments)
        places.append(self)

    async def hang(self: InlinePlace, *arguments: Any, **options: Any) -> object:  # noqa: ANN401
        await trio.sleep(1)
        if places.index(self) == int(name[-1]) and trio.current_time() > 30:
            await trio.sleep_forever()
        return await right(self, *arguments, **options)

    monkeypatch.setattr(InlinePlace, "__init__", numbered)
    monkeypatch.setattr(InlinePlace, method, hang)
    trainer = make_trainer(shards=2, delay=1, watchdog=7.0)
    ends: list[float] = []
    with pytest.raises(StageHungError, match=rf"stage {name} has been at one item for 7\.0 s"):
        await trainer.run(make_batches(100, 3, 2, V), on_report=lambda report: ends.append(trio.current_time()))
    assert 6.0 <= trio.current_time() - ends[-1] <= 9.0  # the last batch was applied just before
    assert 10 < trainer.step < 100


async def test_the_watchdog_names_a_stage_of_the_user_s(make_batches: Batches, autojump_clock: MockClock) -> None:
    async def hang(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            if message.batch_number == 3:
                await trio.sleep_forever()
            await send.send(message)

    with pytest.raises(StageHungError, match=r"stage after forwarded 0 has been at one item for 60\.0 s"):
        await make_trainer(watchdog=60).run(make_batches(9, 3, 2, V), between={"forwarded": hang})


async def test_the_watchdog_lets_a_source_take_its_time(make_batches: Batches, autojump_clock: MockClock) -> None:
    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in make_batches(5, 3, 2, V):
            await trio.sleep(1000)
            yield batch

    assert await make_trainer(watchdog=1, shards=2, delay=1).run(source()) == 5


async def test_time_in_which_the_process_stood_still_does_not_count(mock_clock: MockClock) -> None:
    channel: Channel[int] = Channel("numbers", 1)
    meter = StageMeter("slow", [channel.receiver], [])
    with pytest.RaisesGroup(StageHungError):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, [meter], 10.0)
            await wait_all_tasks_blocked()
            mock_clock.jump(500)  # as after SIGSTOP and SIGCONT
            await wait_all_tasks_blocked()
            mock_clock.jump(9.5)
            await wait_all_tasks_blocked()
            mock_clock.jump(0.5)


async def test_a_thread_that_hangs_is_given_up(
    make_batches: Batches, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    hanging, released = trio.Event(), threading.Event()

    def hang(*_: object) -> float:
        trio.from_thread.run_sync(hanging.set)
        released.wait()
        return 0.0

    monkeypatch.setattr(Shard, "forward", hang)
    trainer = make_trainer(executor="thread", watchdog=7.0)
    with pytest.RaisesGroup(pytest.RaisesExc(StageHungError, match=r"stage forward 0 has been at one item for 7\.5 s")):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trainer.run, make_batches(9, 3, 2, V))
            await hanging.wait()
            await wait_all_tasks_blocked()
            mock_clock.jump(7.5)
    released.set()
    assert trainer.step == 0


async def test_stop_applies_what_was_taken_in(make_batches: Batches, autojump_clock: MockClock) -> None:
    batches, trainer, taken = make_batches(100, 3, 4, V), make_trainer(shards=2, delay=2), 0

    async def source() -> AsyncIterator[SequenceBatch]:
        nonlocal taken
        for batch in batches:
            taken += 1
            yield batch
        await trio.sleep_forever()

    async def slow(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            await trio.sleep(1)
            await send.send(message)

    assert trainer.stop() is False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: trainer.run(source(), between={"forwarded": slow}))
        await trio.sleep(10.5)
        assert trainer.stop(grace=60) is True
    assert trainer.step == taken
    assert 10 < taken < 20
    assert trio.current_time() < 25
    assert_serial(trainer, batches[:taken], shards=2, delay=2)


async def test_stop_ends_a_wait_for_the_source(make_batches: Batches, autojump_clock: MockClock) -> None:
    batches, trainer = make_batches(3, 3, 4, V), make_trainer()

    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in batches:
            yield batch
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trainer.run, source())
        await trio.sleep(1)
        trainer.stop(grace=1000)
    assert trainer.step == 3
    assert trio.current_time() < 2


async def test_stop_holds_when_a_batch_comes_at_the_same_moment(make_batches: Batches) -> None:
    batches, trainer, arrived = make_batches(9, 3, 4, V), make_trainer(), trio.Event()

    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in batches:
            yield batch
            if batch is batches[2]:
                await arrived.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trainer.run, source())
        await wait_all_tasks_blocked()
        arrived.set()
        trainer.stop(grace=1000)
    assert trainer.step in (3, 4)  # with the batch that came, or without it; and no more


async def test_what_takes_longer_than_the_grace_is_dropped(make_batches: Batches, autojump_clock: MockClock) -> None:
    batches, trainer = make_batches(100, 3, 4, V), make_trainer(delay=1)

    async def stuck(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            if message.batch_number == 7:
                await trio.sleep_forever()
            await trio.sleep(1)
            await send.send(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: trainer.run(batches, between={"backwarded": stuck}))
        await trio.sleep(20)
        trainer.stop(grace=3)
    assert trio.current_time() == pytest.approx(23)
    assert trainer.step == 7
    assert_serial(trainer, batches[:7], delay=1)
    assert await trainer.run(batches[7:12]) == 5
    assert_serial(trainer, batches[:12], delay=1)


def assert_serial(trainer: Trainer, batches: list[SequenceBatch], **options: int) -> None:
    model = SequenceModel(V, embedding_size=3, hidden_size=4, seed=1)
    list(train(model, SGD(0.1), batches, **options))
    assert np.array_equal(trainer.model.parameters, model.parameters)


async def test_a_stage_waits_no_longer_than_it_is_there(autojump_clock: MockClock) -> None:
    async def slow() -> AsyncIterator[dict[str, float]]:
        for number in range(40):  # many come behind a batch before there is another one
            await trio.sleep(10 if number > 9 else 0)
            yield {"x": float(number)}

    records = Records(slow(), features="x", target="x@+1", seq_len=8, batch_size=1, stride=8)
    trainer, shares = Trainer(records.model(hidden_size=3, seed=1), SGD(0.1), executor="inline"), list[float]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trainer.run, records)
        for _ in range(9):
            await trio.sleep(31)
            report = trainer.report()
            assert report is not None
            shares += [(stage.busy + stage.waiting_for_input) / stage.seconds for stage in report.stages]
    assert 0.5 < max(shares) <= 1
