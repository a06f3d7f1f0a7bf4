"""The trainer in programs of the user's: started in a nursery, iterated over, current at each report, stopped."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import EXECUTORS
from recurrio.pipeline.flow import open_group

Batches = Callable[..., list[SequenceBatch]]


def make_trainer(**options: object) -> Trainer:
    return Trainer(SequenceModel(6, embedding_size=3, hidden_size=4, seed=1), Adam(0.01), **options)


async def test_a_run_can_be_started_in_a_nursery(make_batches: Batches) -> None:
    trainer, batches = make_trainer(), make_batches(3, 5, 4, 6)

    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in batches:
            yield batch
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        assert await nursery.start(trainer.run, source()) is trainer
        await wait_all_tasks_blocked()
        assert trainer.stop() is True
    assert trainer.step == 3


async def test_a_run_that_waits_for_its_first_batch_can_be_stopped() -> None:
    async def source() -> AsyncIterator[SequenceBatch]:
        await trio.sleep_forever()
        yield SequenceBatch(np.zeros((1, 1), int), np.zeros((1, 1), int))

    trainer = make_trainer()
    async with trio.open_nursery() as nursery:
        await nursery.start(trainer.run, source())
        await wait_all_tasks_blocked()
        assert trainer.stop() is True
    assert trainer.step == 0
    assert trainer.stop() is False


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_reports_can_be_iterated_over(executor: str, make_batches: Batches) -> None:
    batches, by_callback = make_batches(8, 5, 4, 6), list[Report]()
    await make_trainer(executor="inline").run(batches, on_report=by_callback.append)
    trainer, losses, parameters = make_trainer(executor=executor), list[float](), list[bytes]()
    async with trainer.reports(batches) as reports:
        async for report in reports:
            assert trainer.step == report.step
            losses.append(report.loss)
            parameters.append(trainer.model.parameters.tobytes())
    assert losses == [report.loss for report in by_callback]
    assert len(set(parameters)) == 8


async def test_leaving_the_reports_ends_the_run_in_good_order(make_batches: Batches) -> None:
    trainer, batches = make_trainer(delay=2, shards=2, executor="inline"), make_batches(100, 5, 4, 6)
    async with trainer.reports(batches) as reports:
        async for report in reports:
            if report.step == 5:
                break
    assert 5 <= trainer.step < 15
    expected = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    list(train(expected, Adam(0.01), batches[: trainer.step], delay=2, shards=2))
    assert trainer.model.parameters.tobytes() == expected.parameters.tobytes()


async def test_an_error_among_reports_is_the_one_that_is_raised(make_batches: Batches) -> None:
    trainer = make_trainer()

    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in make_batches(3, 5, 4, 6):
            yield batch
        raise OSError("the line is dead")

    async def iterate(batches: Any, error: Exception | None = None) -> None:  # noqa: ANN401 (a source)
        async with trainer.reports(batches) as reports:
            async for _ in reports:
                if error is not None:
                    raise error

    with pytest.raises(OSError, match="the line is dead"):
        await iterate(source())
    with pytest.raises(KeyError):
        await iterate(make_batches(9, 5, 4, 6), KeyError("of the block"))


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("executor", EXECUTORS)
async def test_model_and_step_are_current_at_each_report(executor: str, delay: int, make_batches: Batches) -> None:
    batches, trainer, seen = make_batches(6, 5, 4, 6), make_trainer(executor=executor, delay=delay), list[bytes]()

    def on_report(report: Report) -> None:
        assert trainer.step == report.step
        seen.append(trainer.model.parameters.tobytes())

    await trainer.run(batches, on_report=on_report)
    expected = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    serial = [expected.parameters.tobytes() for _ in train(expected, Adam(0.01), batches, delay=delay)]
    assert seen == serial


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_source_may_use_its_arrays_again(executor: str, make_batches: Batches) -> None:
    batches = make_batches(8, 5, 4, 6)
    again = SequenceBatch(
        np.empty((5, 4), np.int32), np.empty((5, 4), np.int32), np.empty((5, 4), bool), np.empty(4, int)
    )

    async def source() -> AsyncIterator[SequenceBatch]:
        for number, batch in enumerate(batches):
            assert not isinstance(again.reset, bool)
            assert again.lengths is not None
            again.inputs[...], again.targets[...] = batch.inputs, batch.targets
            again.reset[...], again.lengths[...] = number % 3 == 0, 5 - number % 2
            yield again
            await trio.lowlevel.checkpoint()

    trainer = make_trainer(executor=executor, delay=2, shards=2)
    await trainer.run(source())
    expected = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    fresh = [
        batch._replace(reset=np.full((5, 4), number % 3 == 0), lengths=np.full(4, 5 - number % 2))
        for number, batch in enumerate(batches)
    ]
    list(train(expected, Adam(0.01), fresh, delay=2, shards=2))
    assert trainer.model.parameters.tobytes() == expected.parameters.tobytes()


async def test_the_state_is_not_reset_in_a_run(make_batches: Batches) -> None:
    trainer = make_trainer()

    def on_report(report: Report) -> None:
        trainer.reset()

    with pytest.raises(RuntimeError, match="its state belongs to that run"):
        await trainer.run(make_batches(3, 5, 4, 6), on_report=on_report)


async def fail(error: BaseException, turns: int) -> None:
    for _ in range(turns):
        await trio.lowlevel.cancel_shielded_checkpoint()
    raise error


async def test_a_group_raises_the_first_error_and_notes_the_others() -> None:
    async def both(first: Exception, later: Exception) -> None:
        async with open_group() as group:
            group.start_soon(fail, later, 5)
            group.start_soon(fail, first, 2)

    first = OSError("first")
    with pytest.raises(OSError, match="first") as caught:
        await both(first, ValueError("later"))
    assert caught.value is first
    assert first.__notes__ == ["another task then raised ValueError: later"]
    assert first.__context__ is None


async def test_what_is_in_the_background_ends_with_the_others() -> None:
    ended = list[str]()

    async def go_on(name: str) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(name)

    async with open_group() as group:
        group.start_background(go_on, "plain")
        group.start_background(go_on, "shielded", shield=True)
        group.start_soon(trio.lowlevel.checkpoint)
    assert sorted(ended) == ["plain", "shielded"]

    async def fail_behind() -> None:
        async with open_group() as group:
            group.start_background(fail, KeyError("behind"), 1)
            await trio.sleep_forever()

    with pytest.raises(KeyError):
        await fail_behind()


async def test_a_group_is_cancelled_from_outside() -> None:
    with trio.move_on_after(0) as scope:
        async with open_group() as group:
            group.start_soon(trio.sleep_forever)
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_reports_that_are_left_at_once_train_nothing(make_batches: Batches) -> None:
    trainer = make_trainer()
    async with trainer.reports(itertools.cycle(make_batches(3, 5, 4, 6))):
        pass
    assert trainer.step == 0


async def test_leaving_the_reports_stops_no_other_run(make_batches: Batches) -> None:
    trainer, batches = make_trainer(executor="inline"), make_batches(30, 5, 4, 6)
    async with trio.open_nursery() as nursery, trainer.reports(batches[:2]) as reports:
        async for _ in reports:
            pass
        await wait_all_tasks_blocked()
        await nursery.start(trainer.run, batches)
    assert trainer.step == 32


async def test_where_the_run_fails_nothing_goes_on_as_at_its_end() -> None:
    trainer, went_on = make_trainer(), False

    async def source() -> AsyncIterator[SequenceBatch]:
        yield SequenceBatch(np.zeros((5, 4), int), np.zeros((5, 4), int))
        raise OSError("the line is dead")

    async def iterate() -> None:
        nonlocal went_on
        async with trainer.reports(source()) as reports:
            async for _ in reports:
                pass
            went_on = True

    with pytest.raises(OSError, match="the line is dead"):
        await iterate()
    assert not went_on


async def test_a_reader_that_is_slow_is_not_a_stage_that_hangs(
    make_batches: Batches, autojump_clock: trio.testing.MockClock
) -> None:
    trainer = make_trainer(executor="inline", watchdog=3.0)
    async with trainer.reports(make_batches(4, 5, 4, 6)) as reports:
        async for _ in reports:
            await trio.sleep(10)
    assert trainer.step == 4


async def test_two_trainers_do_not_train_one_model_at_once(make_batches: Batches) -> None:
    first = make_trainer()
    second = Trainer(first.model, Adam(0.01))

    async def source() -> AsyncIterator[SequenceBatch]:
        yield make_batches(1, 5, 4, 6)[0]
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await nursery.start(first.run, source())
        with pytest.raises(RuntimeError, match="another trainer is running with this model"):
            await second.run(make_batches(2, 5, 4, 6))
        first.stop()
    assert await second.run(make_batches(2, 5, 4, 6)) == 2


async def test_an_async_generator_is_gone_on_with_in_the_next_run(make_batches: Batches) -> None:
    batches, closed = make_batches(7, 5, 4, 6), False

    async def source() -> AsyncIterator[SequenceBatch]:
        nonlocal closed
        try:
            for batch in batches:
                yield batch
        finally:
            closed = True

    trainer, given = make_trainer(), source()
    assert await trainer.run(given, steps=3) == 3
    assert not closed
    assert await trainer.run(given) == 4
    assert closed
    expected = SequenceModel(6, embedding_size=3, hidden_size=4, seed=1)
    list(train(expected, Adam(0.01), batches))
    assert trainer.model.parameters.tobytes() == expected.parameters.tobytes()


async def test_a_group_of_errors_of_the_block_is_not_noted_against_itself() -> None:
    group = ExceptionGroup("of the block", [ValueError("x")])
    with pytest.raises(ExceptionGroup) as caught:
        async with open_group():
            raise group
    assert caught.value is group
    assert not hasattr(group, "__notes__")
