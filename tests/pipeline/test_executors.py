"""How ``auto`` chooses an executor, and that its choice changes no bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import chooser as executors
from recurrio.pipeline.executors import rank_group as team
from recurrio.pipeline.executors.chooser import TRIAL, Chooser, candidates
from recurrio.pipeline.executors.rank_group import supported
from recurrio.pipeline.plan import plan
from recurrio.pipeline.training import run

WORKERS = {"inline": 1, "thread": 4, "process": 4}
ALONE = {"inline": 1, "thread": 1, "process": 1}


@pytest.mark.parametrize(
    ("processors", "workers", "long", "expected"),
    [
        (2, WORKERS, False, ["inline", "thread", "process"]),
        (2, WORKERS, True, ["thread", "process"]),
        (2, ALONE, False, ["inline"]),
        (2, ALONE, True, ["thread"]),
        (2, ALONE | {"process": 2}, False, ["inline", "process"]),
        (1, WORKERS, False, ["inline"]),
        (1, WORKERS, True, ["thread"]),
    ],
)
def test_what_is_tried_depends_on_the_sizes_and_the_processors(
    processors: int, workers: dict[str, int], long: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: processors)
    monkeypatch.setattr(executors, "supported", lambda: True)
    assert candidates("auto", workers, long=long) == expected
    monkeypatch.setattr(executors, "supported", lambda: False)
    assert candidates("auto", workers, long=long) == [name for name in expected if name != "process"]
    assert candidates("inline", workers, long=long) == ["inline"]


def every(seconds: float) -> list[float]:
    """When a trial's batches were applied: two at a time, as with a delay; the first ones took long."""
    return [5 * (number < 4) + seconds * (number // 2 * 2) for number in range(TRIAL)]


def test_the_fastest_is_chosen_and_the_reason_given() -> None:
    chooser = Chooser(["inline", "thread", "process"], WORKERS, None, TRIAL)
    for name, seconds in (("inline", 0.003), ("thread", 0.004), ("process", 0.002)):
        assert chooser.choice == ""
        assert chooser.next(0) == (name, TRIAL)
        chooser.measured(name, every(seconds))
    assert chooser.next(0) == ("process", None)
    assert chooser.choice == "process, 4 workers, measured: inline 3.00, thread 4.00, process 2.00 ms a step"


def test_a_single_executor_is_not_measured() -> None:
    chooser = Chooser(["thread"], ALONE, 1000, TRIAL)
    assert chooser.next(0) == ("thread", None)
    assert chooser.choice == "thread, 1 worker"


@pytest.mark.parametrize(("steps", "expected"), [(200, "inline"), (2000, "process")])
def test_processes_are_not_started_for_a_short_rest(steps: int, expected: str) -> None:
    chooser = Chooser(["inline", "process"], WORKERS, steps, TRIAL)
    assert chooser.next(0) == ("inline", TRIAL)
    chooser.measured("inline", every(0.003))
    assert chooser.next(TRIAL)[0] == expected


@pytest.mark.skipif(not supported(), reason="worker processes take Linux on x86-64")
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


@pytest.mark.skipif(not supported(), reason="worker processes take Linux on x86-64")
@pytest.mark.parametrize("start", ["raise SystemExit(3)", "import time; time.sleep(1000)"])
async def test_auto_goes_on_without_processes_that_cannot_start(
    start: str, make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "processors", lambda: 2)
    monkeypatch.setattr(team, "START", start)
    monkeypatch.setattr(run, "trial_steps", lambda *, long: TRIAL)
    model, choices = SequenceModel(9, hidden_size=8, seed=1), set[str]()
    trainer = Trainer(model, Adam(0.01), ranks=2, watchdog=1.0)
    batches = make_batches(40, 6, 4, 9)
    assert await trainer.run(batches, on_report=lambda report: choices.add(trainer.choice)) == 40
    assert any("process cannot start: " in choice for choice in choices)
    expected = SequenceModel(9, hidden_size=8, seed=1)
    list(train(expected, Adam(0.01), batches, ranks=2))
    assert np.array_equal(model.parameters, expected.parameters)


@pytest.mark.skipif(not supported(), reason="worker processes take Linux on x86-64")
async def test_a_worker_may_print_when_it_starts(
    make_batches: Callable[..., list[SequenceBatch]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(team, "START", f"print('hello', flush=True); {team.START}")
    trainer = Trainer(SequenceModel(9, hidden_size=8), Adam(0.01), ranks=2, executor="process")
    assert await trainer.run(make_batches(3, 6, 4, 9)) == 3
