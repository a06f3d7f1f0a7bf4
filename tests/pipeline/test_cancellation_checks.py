"""The checks of the runs that are cut short: an error planted in the pipeline is found by each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count

import numpy as np
import pytest
import trio
from support.cancellation import BATCHES, Bench, Case, cancel, cancel_in_pass, fail

from recurrio.core.model.run_memory import RunMemory
from recurrio.core.training_state import TrainingState
from recurrio.pipeline.executors.thread import ThreadPlace
from recurrio.pipeline.flow.channels import Receiver, Sender
from recurrio.pipeline.flow.group import Group
from recurrio.pipeline.stages import Intake, VersionStore
from recurrio.pipeline.training import run


def leaves_senders_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sender, "__exit__", lambda *_: None)


def leaves_receivers_open(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Receiver, "__exit__", lambda *_: None)


def leaves_the_source_open(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Intake) -> None:
        pass

    patch.setattr(Intake, "aclose", nothing)


def changes_what_is_left(patch: pytest.MonkeyPatch, change: Callable[[TrainingState, RunMemory, int], None]) -> None:
    leave = TrainingState.leave

    def leaving(self: TrainingState, memory: RunMemory, applied: int) -> None:
        leave(self, memory, applied)
        change(self, memory, applied)

    patch.setattr(TrainingState, "leave", leaving)


def copies_an_older_version(patch: pytest.MonkeyPatch) -> None:
    def change(state: TrainingState, memory: RunMemory, applied: int) -> None:
        np.copyto(state.model.parameters, memory.parameters[(applied - 1) % len(memory.parameters)])

    changes_what_is_left(patch, change)


def spoils_an_older_version(patch: pytest.MonkeyPatch) -> None:
    def change(state: TrainingState, memory: RunMemory, applied: int) -> None:
        memory.parameters[(applied - 1) % len(memory.parameters)].fill(0)

    changes_what_is_left(patch, change)


def forgets_an_older_version(patch: pytest.MonkeyPatch) -> None:
    def change(state: TrainingState, memory: RunMemory, applied: int) -> None:
        state._older = [state.model.parameters.copy() for _ in state._older]

    changes_what_is_left(patch, change)


def has_a_row_too_few(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(VersionStore, "row", lambda self, version: version % (len(self._rows) - 1))


def counts_a_batch_twice(patch: pytest.MonkeyPatch) -> None:
    def change(state: TrainingState, memory: RunMemory, applied: int) -> None:
        state.applied += 1

    changes_what_is_left(patch, change)


def forgets_the_hidden_state(patch: pytest.MonkeyPatch) -> None:
    def change(state: TrainingState, memory: RunMemory, applied: int) -> None:
        state.reset_lanes()

    changes_what_is_left(patch, change)


def keeps_the_newest_hidden_state(patch: pytest.MonkeyPatch) -> None:
    """That of a batch in flight, which is not applied."""

    def newest(self: RunMemory, batch_number: int) -> object:
        return [ring[(batch_number + 1) % len(ring)] for ring in self.states]

    leave = TrainingState.leave

    def leaving(self: TrainingState, memory: RunMemory, applied: int) -> None:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(RunMemory, "state_before", newest)
            leave(self, memory, applied)

    patch.setattr(TrainingState, "leave", leaving)


def abandons_threads(patch: pytest.MonkeyPatch) -> None:
    async def abandoning(self: ThreadPlace, compute: Callable[[], object]) -> object:
        return await trio.to_thread.run_sync(compute, abandon_on_cancel=True, limiter=self._limiter)

    patch.setattr(ThreadPlace, "_run", abandoning)


def relabels_the_error(patch: pytest.MonkeyPatch) -> None:
    failed = Group.failed

    def relabelling(self: Group, error: BaseException) -> None:
        failed(self, RuntimeError("a stage has failed") if isinstance(error, Exception) else error)

    patch.setattr(Group, "failed", relabelling)


def swallows_the_cancellation(patch: pytest.MonkeyPatch) -> None:
    train = run.Run.train

    async def quiet(self: run.Run) -> None:
        with suppress(BaseException):
            await train(self)

    patch.setattr(run.Run, "train", quiet)


async def cancelled(bench: Bench) -> None:
    for n in count():
        if await cancel(bench, n) is None:
            return


async def cancelled_in_a_pass(bench: Bench) -> None:
    for number in range(len(BATCHES)):
        await cancel_in_pass(bench, "backward", number)


async def failed_in_the_optimizer(bench: Bench) -> None:
    for number in range(len(BATCHES)):
        await fail(bench, "optimizer", number, KeyError("planted"))


@pytest.mark.parametrize(
    ("plant", "enumerate_points", "case", "message"),
    [
        (leaves_senders_open, cancelled, Case(1, 1), r"open channels: .*'loaded 0', 'forwarded 0', 'backwarded 0'"),
        (leaves_receivers_open, cancelled, Case(1, 1), r"open channels: .*'loaded 0', 'forwarded 0', 'backwarded 0'"),
        (leaves_the_source_open, cancelled, Case(1, 1), "the source is open"),
        (copies_an_older_version, cancelled, Case(1, 1), "parameters of no prefix"),
        (spoils_an_older_version, cancelled, Case(1, 1), "the store has something else for version"),
        (has_a_row_too_few, failed_in_the_optimizer, Case(1, 0), "parameters of no prefix"),
        (counts_a_batch_twice, cancelled, Case(1, 1), "reports of other batches"),
        (forgets_an_older_version, cancelled, Case(1, 1), "the next run gives something else"),
        (forgets_the_hidden_state, cancelled, Case(1, 1), "the next run gives something else"),
        (keeps_the_newest_hidden_state, cancelled, Case(1, 1), "the next run gives something else"),
        (abandons_threads, cancelled_in_a_pass, Case(1, 1, executor="thread"), "a pass goes on"),
        (relabels_the_error, failed_in_the_optimizer, Case(1, 1), "another error: RuntimeError"),
        (swallows_the_cancellation, cancelled, Case(1, 1), "a run cut short that returned"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
async def test_the_checks_bite(
    plant: Callable[[pytest.MonkeyPatch], None],
    enumerate_points: Callable[[Bench], Awaitable[None]],
    case: Case,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(case, monkeypatch)
    await enumerate_points(bench)
    plant(monkeypatch)
    bench.goes_on = "next run" in message  # for the others, only what the run itself leaves counts
    with pytest.raises(AssertionError, match=message) as caught:
        await enumerate_points(bench)
    assert re.match(r"at (step \d+|backward of batch \d|optimizer of batch \d)", caught.value.__notes__[0])
    await bench.close()
