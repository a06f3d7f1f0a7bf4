"""How ``auto`` chooses an executor, and that its choice changes no bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import chooser as executors
from recurrio.pipeline.executors import rank_group
from recurrio.pipeline.executors.chooser import TRIAL, Chooser, candidates
from recurrio.pipeline.executors.process import ProcessExecutor
from recurrio.pipeline.flow.worker_process import obstacle
from recurrio.pipeline.plan import plan
from recurrio.pipeline.training import run


def make_plan(executor: str = "auto", *, shards: int = 1, delay: int = 0, ranks: int = 1) -> plan.Plan:
    counts = {"shards": shards, "delay": delay, "ranks": ranks, "blas_threads": 1, "seed": 0, "capacity": 1}
    return plan.Plan(model=SequenceModel(9, hidden_size=8), executor=executor, watchdog=None, **counts)


SEVERAL = {"shards": 2, "delay": 1}  # 2 × 2 passes at once
ALONE: dict[str, int] = {}


@pytest.mark.parametrize(
    ("processors", "counts", "long", "expected"),
    [
        (2, SEVERAL, False, ["inline", "thread", "process"]),
        (2, SEVERAL, True, ["thread", "process"]),
        (2, ALONE, False, ["inline"]),
        (2, ALONE, True, ["thread"]),
        (2, {"ranks": 2}, False, ["inline", "process"]),
        (1, SEVERAL, False, ["inline"]),
        (1, SEVERAL, True, ["thread"]),
    ],
)
def test_what_is_tried_depends_on_the_sizes_and_the_processors(
    processors: int, counts: dict[str, int], long: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: processors)
    monkeypatch.setattr(ProcessExecutor, "refuses", staticmethod(lambda plan: None))
    assert candidates(make_plan(**counts), long=long) == expected
    assert candidates(make_plan("inline", **counts), long=long) == ["inline"]
    monkeypatch.setattr(ProcessExecutor, "refuses", staticmethod(lambda plan: "not here"))
    assert candidates(make_plan(**counts), long=long) == [name for name in expected if name != "process"]


def every(seconds: float) -> list[float]:
    """When a trial's batches were applied: two at a time, as with a delay; the first ones took long."""
    return [5 * (number < 4) + seconds * (number // 2 * 2) for number in range(TRIAL)]


def test_the_fastest_is_chosen_and_the_reason_given() -> None:
    chooser = Chooser(["inline", "thread", "process"], make_plan(**SEVERAL), None, TRIAL)
    for name, seconds in (("inline", 0.003), ("thread", 0.004), ("process", 0.002)):
        assert chooser.choice == ""
        assert chooser.next(0) == (name, TRIAL)
        chooser.measured(name, every(seconds))
    assert chooser.next(0) == ("process", None)
    assert chooser.choice == "process, 4 workers, measured: inline 3.00, thread 4.00, process 2.00 ms a step"


def test_a_single_executor_is_not_measured() -> None:
    chooser = Chooser(["thread"], make_plan(), 1000, TRIAL)
    assert chooser.next(0) == ("thread", None)
    assert chooser.choice == "thread, 1 worker"


@pytest.mark.parametrize(("steps", "expected"), [(200, "inline"), (2000, "process")])
def test_processes_are_not_started_for_a_short_rest(steps: int, expected: str) -> None:
    chooser = Chooser(["inline", "process"], make_plan(**SEVERAL), steps, TRIAL)
    assert chooser.next(0) == ("inline", TRIAL)
    chooser.measured("inline", every(0.003))
    assert chooser.next(TRIAL)[0] == expected


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize(
    ("count", "ranks"), [(1, 1), (11, 1), (12, 1), (13, 1), (24, 1), (36, 1), (50, 1), (24, 2), (25, 2), (50, 2)]
)
@pytest.mark.parametrize("best", ["inline", "thread", "process"])
async def test_changing_the_executor_changes_no_bit(
    best: str, count: int, ranks: int, make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: 2)
    monkeypatch.setattr(plan, "processors", lambda: 2)

    def measured(self: Chooser, executor: str, finished: list[float]) -> None:
        assert len(finished) in (TRIAL, count % TRIAL)
        self._seconds[executor] = 1.0 if executor == best else 2.0

    monkeypatch.setattr(Chooser, "measured", measured)
    monkeypatch.setattr(run, "trial_steps", lambda *, long: TRIAL)
    batches = make_batches(count, 6, 4, 9)
    options = {"hidden_size": 8, "num_layers": 2, "dropout": 0.3, "seed": 1}
    models = [SequenceModel(9, embedding_size=5, **options) for _ in range(2)]
    options = {"shards": 2, "delay": 1, "ranks": ranks, "seed": 3}
    list(train(models[0], Adam(0.01), batches, clip=0.5, **options))
    trainer, reports = Trainer(models[1], Adam(0.01), clip=0.5, **options), list[Report]()
    choices = []

    def on_report(report: Report) -> None:
        reports.append(report)
        choices.append(trainer.choice)

    assert await trainer.run(batches, on_report=on_report) == count
    assert np.array_equal(models[0].parameters, models[1].parameters)
    expected = [*["inline"] * TRIAL, *["thread"] * TRIAL, *["process"] * TRIAL, *[best] * 99][:count]
    assert [report.executor for report in reports] == expected
    assert [report.step for report in reports] == list(range(1, count + 1))
    assert bool(choices[-1]) == (count > 3 * TRIAL)
    assert trainer.choice == ""


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize("start", ["raise SystemExit(3)", "import time; time.sleep(1000)"])
async def test_auto_goes_on_without_processes_that_cannot_start(
    start: str, make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: 2)
    monkeypatch.setattr(rank_group, "START", start)
    monkeypatch.setattr(run, "trial_steps", lambda *, long: TRIAL)
    model, choices = SequenceModel(9, hidden_size=8, seed=1), set[str]()
    trainer = Trainer(model, Adam(0.01), ranks=2, watchdog=1.0)
    batches = make_batches(40, 6, 4, 9)
    assert await trainer.run(batches, on_report=lambda report: choices.add(trainer.choice)) == 40
    assert any("process cannot start: " in choice for choice in choices)
    expected = SequenceModel(9, hidden_size=8, seed=1)
    list(train(expected, Adam(0.01), batches, ranks=2))
    assert np.array_equal(model.parameters, expected.parameters)


def test_what_cannot_start_is_not_chosen() -> None:
    chooser = Chooser(["inline", "process"], make_plan(**SEVERAL), None, TRIAL)
    chooser.measured(chooser.next(0)[0], every(0.003))
    assert chooser.next(TRIAL)[0] == "process"
    assert chooser.failed("process", OSError(1, "Operation not permitted"))
    assert chooser.next(TRIAL) == ("inline", None)
    assert chooser.choice.endswith("ms a step; process cannot start: [Errno 1] Operation not permitted")


def test_where_the_only_one_to_be_tried_cannot_start_there_is_another() -> None:
    chooser = Chooser(["process"], make_plan(**SEVERAL), None, TRIAL)
    assert chooser.next(0) == ("process", None)
    assert chooser.failed("process", OSError("no memory to share"))
    assert chooser.next(0) == ("thread", None)
    assert chooser.choice == "thread, 4 workers; process cannot start: no memory to share"
    asked_for = Chooser(["process"], make_plan("process", **SEVERAL), None, TRIAL)
    assert not asked_for.failed("process", OSError("no memory to share"))


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
@pytest.mark.parametrize("executor", ["auto", "process"])
async def test_auto_goes_on_where_memory_cannot_be_shared(
    executor: str, make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a sandbox refuses memfd_create."""

    def refused(name: str) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(executors, "processors", lambda: 2)
    monkeypatch.setattr(rank_group.os, "memfd_create", refused)
    monkeypatch.setattr(run, "trial_steps", lambda *, long: TRIAL)
    trainer = Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), ranks=2, executor=executor)
    batches = make_batches(20, 6, 4, 9)
    if executor == "process":
        with pytest.raises(PermissionError):
            await trainer.run(batches)
    else:
        assert await trainer.run(batches) == 20


@pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
async def test_a_worker_may_print_when_it_starts(
    make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_group, "START", f"print('hello', flush=True); {rank_group.START}")
    trainer = Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), ranks=2, executor="process")
    assert await trainer.run(make_batches(3, 6, 4, 9)) == 3
