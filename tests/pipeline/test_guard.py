"""Bad batches: skipped, counted, and taken back where they do not end; the same in the pipeline and the serial loop."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.in_process import parsed, run_here
from support.states import differing
from support.streams import as_jsonl, make_data

from recurrio.core import SGD, Adam, SequenceBatch, SequenceModel
from recurrio.core.base.state import Part
from recurrio.core.optim.guard import Guard
from recurrio.core.optim.updater import NonFiniteError, Updater
from recurrio.core.serial import run
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.checkpoint import Checkpoints, CheckpointStore
from recurrio.pipeline.executors import EXECUTORS

BAD = {20: np.inf, 21: 3e38, 50: 1e9, 70: np.nan, 71: 3e38}
MANY = {**BAD, **dict.fromkeys(range(80, 90), 3e38)}


class Batches:
    """Batches, of which some have such a target."""

    def __init__(self, bad: dict[int, float], count: int = 120) -> None:
        self._bad, self._count, self._next = bad, count, 0

    def __iter__(self) -> Iterator[SequenceBatch]:
        while self._next < self._count:
            values = np.random.default_rng(self._next).random((5, 4, 3), np.float32)
            targets = values[..., :2].copy()
            if self._next in self._bad:
                targets[2, 1, 0] = self._bad[self._next]
            self._next += 1
            yield SequenceBatch(values, targets)

    def position(self) -> int:
        return self._next

    def rewind(self, position: int) -> None:
        self._next = position


def make_model() -> SequenceModel:
    return SequenceModel(input_size=3, output_size=2, hidden_size=6, seed=1)


def make_guard(**options: int) -> Guard:
    return Guard(**{"every": 10, "row": 4, **options})  # type: ignore[arg-type]


def serially(bad: dict[int, float], delay: int = 0, **options: int) -> TrainingState:
    updater = Updater(Adam(0.01), 1.0, guard=make_guard(**options))
    state = TrainingState(make_model(), updater, shards=2, delay=delay, seed=0)
    for _ in run(state, Batches(bad)):
        assert np.isfinite(state.model.parameters).all()
    return state


@pytest.mark.parametrize("bad", [BAD, MANY], ids=["a few", "many in a row"])
@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("executor", EXECUTORS)
async def test_the_pipeline_is_the_serial_loop(executor: str, delay: int, bad: dict[int, float]) -> None:
    expected = serially(bad, delay)
    trainer = Trainer(make_model(), Adam(0.01), clip=1.0, shards=2, delay=delay, executor=executor, guard=make_guard())
    reports: list[Report] = []
    await trainer.run(Batches(bad), on_report=reports.append)
    assert differing(trainer.state.dump(), expected.dump()) == []
    assert [report.step for report in reports] == [*range(1, 121)]
    assert reports[-1].skipped == len(bad)
    assert (reports[-1].undone > 0) == (bad is MANY)


def test_a_batch_that_is_skipped_changes_nothing() -> None:
    updater = Updater(Adam(0.01), 1.0, guard=make_guard())
    state = TrainingState(make_model(), updater, seed=0)
    versions, steps = [state.model.parameters.copy()], []
    for step in run(state, Batches(BAD)):
        versions.append(state.model.parameters.copy())
        steps.append(step)
    for number in range(120):
        assert (versions[number] == versions[number + 1]).all() == (number in BAD)
    assert not math.isfinite(steps[20].loss)
    assert updater.guard is not None
    assert updater.guard.skipped == len(BAD)
    assert "above 10000 times its running median" in reason_of(50)


def reason_of(number: int) -> str:
    updater = Updater(Adam(0.01), 1.0, guard=make_guard())
    state = TrainingState(make_model(), updater, seed=0)
    for step in run(state, Batches({number: BAD[number]})):
        if step.step == number + 1:
            break
    assert updater.guard is not None
    return updater.guard.reason


def test_many_in_a_row_take_back_what_led_to_them() -> None:
    updater = Updater(Adam(0.01), 1.0, guard=make_guard())
    state = TrainingState(make_model(), updater, seed=0)
    versions = [state.model.parameters.copy()]
    versions += [state.model.parameters.copy() for _ in run(state, Batches(MANY))]
    guard = updater.guard
    assert guard is not None
    # Version 77 is kept, behind ten good batches each from the last one: 80 … 83 are bad, and 84 begins from it.
    back = next(n for n in range(80) if (versions[n] == versions[84]).all())
    assert back < 80
    assert guard.rolled == 2
    assert guard.rate == 0.25
    assert guard.undone == 80 - back


def test_it_gives_up_where_going_back_does_not_help() -> None:
    with pytest.raises(NonFiniteError, match="batches were bad, and going back did not help; the last one: the loss"):
        serially(dict.fromkeys(range(30, 120), np.inf), cap=2)


def test_it_wants_an_optimizer_that_can_take_a_step_back() -> None:
    class Own:
        lr = 0.1

        def step(self, parameters: object, gradient: object, out: object) -> None:
            pass

    with pytest.raises(ValueError, match="guard: expected none with an optimizer that cannot take a step back"):
        Updater(Own(), guard=Guard())  # type: ignore[arg-type]


def test_a_level_that_stays_becomes_the_usual_one() -> None:
    guard = Guard()
    found = [guard.explodes(value, 0.1) is not None for value in [1.0] * 40 + [1e6] * 60]
    assert not any(found[:40])
    assert found[40]
    assert not any(found[-20:])


@pytest.mark.parametrize("delay", [0, 1])
async def test_it_goes_on_from_a_checkpoint(tmp_path: Path, delay: int) -> None:
    async def train(folder: Path, steps: int | None) -> Part:
        trainer = Trainer(make_model(), SGD(0.1), clip=1.0, delay=delay, guard=make_guard(), executor="inline")
        checkpoints, batches = Checkpoints(folder, every=5), Batches(MANY)
        trainer.resume(checkpoints, batches)
        await trainer.run(batches, steps=steps and steps - trainer.step, checkpoints=checkpoints)
        found = CheckpointStore(folder).newest()
        assert found is not None
        return found.part

    expected = await train(tmp_path / "whole", None)
    for steps in (19, 21, 52, 82, 85, 88, None):
        found = await train(tmp_path / "parts", steps)
    assert differing(found, expected) == []


def test_the_command_says_what_it_skips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "records.jsonl").write_bytes(as_jsonl(make_data(2000, 9)))
    words = ["train", "records.jsonl", "--key", "k", "--features", "x", "--target", "x@+1", "--optimizer", "sgd"]
    words += ["--lr", 1e38, "--clip", "none", "--json", "--executor", "inline", "--report-every", 1]
    done = run_here(*words, "--out", "a")
    reports = parsed(done.output)
    assert done.code == 0
    assert " batches were skipped so far, and " in done.errors
    assert reports[-1]["skipped"] >= 8
    assert reports[-1]["undone"] > 0
    assert run_here(*words, "--out", "b", "--on-bad-batch", "stop").code == 1


def test_a_surprise_where_all_is_forecast_well_is_learned_from() -> None:
    guard = Guard()
    for _ in range(64):
        assert guard.explodes(1e-5, 1e-6) is None
    assert guard.explodes(18.4, 11.1) is None  # a class that was thought to be impossible
    assert guard.explodes(2e3, 1.0) is not None
    assert guard.explodes(1.0, 2e3) is not None
