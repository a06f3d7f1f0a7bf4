"""Runs that are cut short, at every task step or by an error in any stage at any batch, and what they leave behind."""

from __future__ import annotations

from itertools import count

import pytest
import trio
from support.cancellation import BATCHES, PASSES, Bench, Case, before_step, cancel, cancel_in_pass, fail, point

from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.training.wiring import LINKS


async def stop(bench: Bench, n: int, grace: float) -> int | None:
    """Stop a run before step `n`, and check; how many batches it applied, None if there was no run to stop any more."""
    with point(f"step {n} of {bench.case}, stopped with {grace} s of grace"):
        trainer, stopped = bench.trainer(), list[bool]()
        returned = await before_step(n, lambda: stopped.append(trainer.stop(grace)), lambda: bench.run(trainer))
        assert returned == trainer.step
        if stopped != [True]:
            assert returned == len(BATCHES)
        elif grace:
            assert returned == bench.given
        await bench.check(trainer)
    return returned if stopped else None


INLINE = [Case(shards, delay, capacity) for shards in (1, 2) for delay in (0, 1, 2) for capacity in (0, 1)]
SPLIT = [Case(1, 1, 0, split=True), Case(1, 2, split=True), Case(2, 1, split=True), Case(2, 2, 0, split=True)]
LINKED = [Case(2, 1, 0, links=LINKS), Case(1, 2, split=True, links=LINKS)]
THREAD = [Case(1, 0, 1, "thread"), Case(2, 1, 0, "thread"), Case(2, 2, 1, "thread", split=True)]
CASES = [*INLINE, *SPLIT, *LINKED]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_cancelled_at_every_step(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, seen = Bench(case, monkeypatch), set()
    bench.order = CASES.index(case)  # another one in each case, the same one at each of its points
    for n in count():
        applied = await cancel(bench, n)
        if applied is None:
            break
        seen.add(applied)
    assert seen == set(range(len(BATCHES) + 1))


@pytest.mark.parametrize("case", [*THREAD, Case(2, 1, 1, "auto")], ids=str)
async def test_cancelled_at_every_step_with_threads(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, n = Bench(case, monkeypatch), 0
    while await cancel(bench, n) is not None:
        n += 1
    assert n > 50


@pytest.mark.parametrize("case", THREAD, ids=str)
async def test_cancelled_in_every_pass_of_a_thread(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(case, monkeypatch)
    for where in PASSES if case.split else PASSES[:2]:
        for number in range(len(BATCHES)):
            assert number - case.delay <= await cancel_in_pass(bench, where, number) <= number


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
async def test_cancelled_with_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, n = Bench(Case(1, 1, 1, "process"), monkeypatch), 0
    while await cancel(bench, n) is not None:
        n += 10  # they take their time to start
    assert n > 30


@pytest.mark.parametrize("grace", [0, 3600])
@pytest.mark.parametrize("case", [Case(1, 0), Case(2, 1, 0), Case(2, 2, split=True)], ids=str)
async def test_stopped_at_every_step(case: Case, grace: float, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, seen = Bench(case, monkeypatch), set()
    for n in count():
        returned = await stop(bench, n, grace)
        if returned is None:
            break
        seen.add(returned)
    assert seen == set(range(len(BATCHES) + 1))


def could_be_applied(case: Case, where: str, number: int) -> range:
    """How many batches a run can have applied when batch `number` fails there."""
    if where == "report":
        return range(number + 1, number + 2)
    sure = {"source": 0, "loaded": 0, "optimizer": number, "schedule": number}.get(where, max(0, number - case.delay))
    return range(sure, number + 1)


@pytest.mark.parametrize("case", [*INLINE[1::2], *LINKED, *THREAD], ids=str)
async def test_an_error_in_every_stage_at_every_batch(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(case, monkeypatch)
    of_shards = [*PASSES[: 3 if case.split else 2], *case.links]
    turns = {"source": 1, "optimizer": 1, "schedule": 1, "report": 1} | dict.fromkeys(of_shards, case.shards)
    for where in turns:
        for number in range(len(BATCHES) + (where == "source")):
            for turn in range(turns[where]):
                applied = await fail(bench, where, number, KeyError("planted"), turn)
                assert applied in could_be_applied(case, where, number), f"{where}, batch {number}: {applied} applied"


@pytest.mark.parametrize(
    "kind", [trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel, trio.WouldBlock, KeyboardInterrupt]
)
async def test_an_error_that_channels_raise_too(kind: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(LINKED[0], monkeypatch)
    for where in ("source", *PASSES[:2], "optimizer", "schedule", "report", *LINKS):
        for bench.order in range(3):
            await fail(bench, where, 2, kind("planted"))
