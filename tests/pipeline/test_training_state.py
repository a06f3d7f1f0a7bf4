"""What outlives a run: ``run(a)`` and then ``run(b)`` is ``run(a + b)``, wherever it computes, and across a dump."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    SGD,
    Adagrad,
    Adam,
    AdamW,
    ArgumentError,
    ConstantLR,
    CosineLR,
    NonFiniteError,
    PlateauLR,
    RMSprop,
    SequenceBatch,
    SequenceModel,
    StepLR,
)
from recurrio.core.base.state import Part
from recurrio.core.optim.schedules import Schedule
from recurrio.core.optim.updater import Updater
from recurrio.core.serial import run, train
from recurrio.core.training_state import TrainingState
from recurrio.pipeline import Report, Trainer
from recurrio.pipeline.executors import EXECUTORS
from recurrio.pipeline.flow.worker_process import obstacle

V = 6
SCHEDULES: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "constant": lambda: ConstantLR(0.02),
    "step": lambda: StepLR(0.05, 3, 0.5),
    "cosine": lambda: CosineLR(0.05, 9, 3),
    "plateau": lambda: PlateauLR(0.05, 0.5, 0),
}
CANNOT = pytest.mark.skipif(obstacle() is not None, reason=str(obstacle()))
# The executor does not know the schedule: one of them is enough for those that take their time.
PAIRS = [
    pytest.param(name, schedule, marks=CANNOT if name == "process" else ())
    for name in EXECUTORS
    for schedule in SCHEDULES
    if name == "inline" or schedule == "plateau"
]
Batches = Callable[..., list[SequenceBatch]]


def make_model() -> SequenceModel:
    return SequenceModel(V, embedding_size=3, hidden_size=8, num_layers=2, dropout=0.3, seed=1)


def bits(part: Part) -> tuple[dict[str, bytes], str]:
    return {name: array.tobytes() for name, array in part.arrays.items()}, json.dumps(part.about)


def serial(batches: list[SequenceBatch], schedule: str, **options: int) -> tuple[dict[str, bytes], str]:
    """The state that the oracle has after `batches`."""
    settings = {name: value for name, value in options.items() if name != "executor"}
    state = TrainingState(make_model(), Updater(Adam(0.01), 0.5, SCHEDULES[schedule]()), seed=3, **settings)
    list(run(state, batches))
    return bits(state.dump())


@pytest.mark.parametrize("delay", [0, 2])
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize(("executor", "schedule"), PAIRS)
async def test_two_runs_are_one(executor: str, shards: int, delay: int, schedule: str, make_batches: Batches) -> None:
    batches = make_batches(11, 5, 4, V)
    counts = {"shards": shards, "delay": delay, "ranks": 2 if shards == 1 else 1}
    trainer = Trainer(
        make_model(), Adam(0.01), clip=0.5, schedule=SCHEDULES[schedule](), seed=3, executor=executor, **counts
    )
    cuts = [0, 1, 6, 11] if executor != "process" else [0, 5, 11]
    for first, last in pairwise(cuts):
        assert await trainer.run(batches[first:last]) == last - first
        assert trainer.step == last
    assert bits(trainer.state.dump()) == serial(batches, schedule, **counts)


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("schedule", SCHEDULES)
async def test_a_state_is_taken_up_by_another_trainer(schedule: str, delay: int, make_batches: Batches) -> None:
    batches = make_batches(9, 5, 4, V)

    def make() -> Trainer:
        options = {"clip": 0.5, "seed": 3, "shards": 2, "delay": delay, "executor": "inline"}
        return Trainer(make_model(), Adam(0.01), schedule=SCHEDULES[schedule](), **options)

    first, second = make(), make()
    await first.run(batches[:4])
    part = first.state.dump()
    second.state.load(Part(part.arrays, json.loads(json.dumps(part.about))))
    assert bits(second.state.dump()) == bits(part)
    await second.run(batches[4:])
    assert bits(second.state.dump()) == serial(batches, schedule, shards=2, delay=delay)


async def test_a_state_that_was_never_used_goes_out_and_in(make_batches: Batches) -> None:
    first, second = (TrainingState(make_model(), Updater(Adam(0.01))) for _ in range(2))
    second.load(first.dump())
    assert bits(second.dump()) == bits(first.dump())


@pytest.mark.parametrize("dropped", ["versions", "hidden.0.0.1.0", "updater.optimizer.mean"])
async def test_a_state_with_a_part_missing_is_refused_and_changes_nothing(dropped: str, make_batches: Batches) -> None:
    state = TrainingState(make_model(), Updater(Adam(0.01)), delay=1)
    list(run(state, make_batches(3, 5, 4, V)))
    part, before = state.dump(), bits(state.dump())
    list(run(state, make_batches(1, 5, 4, V)))
    now = bits(state.dump())
    arrays = {name: array for name, array in part.arrays.items() if name != dropped}
    with pytest.raises(ArgumentError):
        state.load(Part(arrays, part.about))
    assert bits(state.dump()) == now
    state.load(part)
    assert bits(state.dump()) == before


@pytest.mark.parametrize(("name", "value"), [("shards", 2), ("ranks", 2), ("delay", 1), ("seed", 5)])
def test_a_state_of_another_plan_is_refused(name: str, value: int) -> None:
    state = TrainingState(make_model(), Updater(Adam(0.01)))
    other = TrainingState(make_model(), Updater(Adam(0.01)), **{name: value})
    with pytest.raises(ArgumentError, match=f"{name}: expected {getattr(state, name)}, as in this training, got"):
        state.load(other.dump())


async def test_starting_anew_is_asked_for(make_batches: Batches) -> None:
    batches, model = make_batches(4, 5, 4, V)[1:], make_model()  # without resets
    trainer = Trainer(model, Adam(0.01), schedule=StepLR(0.05, 2), seed=3, executor="inline")
    await trainer.run(batches)
    middle = model.parameters.copy()
    trainer.reset()
    assert trainer.step == 0
    await trainer.run(batches)
    expected = make_model()
    expected.parameters[...] = middle
    list(train(expected, Adam(0.01), batches, schedule=StepLR(0.05, 2), seed=3))
    assert model.parameters.tobytes() == expected.parameters.tobytes()


async def test_the_lanes_alone_can_start_anew_and_be_more(make_batches: Batches) -> None:
    (batch,) = make_batches(1, 5, 4, V)[:1]
    trainer = Trainer(make_model(), Adam(0.01), seed=3, executor="inline")
    other = Trainer(make_model(), Adam(0.01), seed=3, executor="inline")
    await trainer.run([batch])
    await other.run([batch])
    trainer.reset_lanes()
    await trainer.run([batch._replace(reset=False)])
    await other.run([batch._replace(reset=True)])
    assert trainer.step == 2
    assert trainer.model.parameters.tobytes() == other.model.parameters.tobytes()
    wider = make_batches(1, 5, 6, V)
    with pytest.raises(ArgumentError, match=r"at most 4 lanes, as in the batches before \(reset_lanes\(\)"):
        await trainer.run(wider)
    trainer.reset_lanes()
    assert await trainer.run(wider) == 1


async def test_a_model_that_was_changed_between_two_runs_is_trained_on(make_batches: Batches) -> None:
    batches = make_batches(4, 5, 4, V)
    trainer = Trainer(make_model(), Adam(0.01), executor="inline", delay=1)
    await trainer.run(batches[:2])
    trainer.model.parameters *= 0.5
    state = TrainingState(make_model(), Updater(Adam(0.01)), delay=1)
    list(run(state, batches[:2]))
    state.model.parameters *= 0.5
    await trainer.run(batches[2:])
    list(run(state, batches[2:]))
    assert bits(trainer.state.dump()) == bits(state.dump())


@pytest.mark.parametrize("executor", ["inline", "thread"])
async def test_a_run_that_fails_is_gone_on_with(executor: str, make_batches: Batches) -> None:
    """With a delay, the next batches have gone forward already."""
    batches = make_batches(7, 5, 4, V)
    trainer = Trainer(make_model(), Adam(0.01), clip=0.5, delay=2, shards=2, seed=3, executor=executor)

    def on_report(report: Report) -> None:
        if report.step == 4:
            raise OSError("the line is dead")

    with pytest.raises(OSError, match="the line is dead"):
        await trainer.run(batches, on_report=on_report)
    assert trainer.step == 4
    await trainer.run(batches[4:])
    assert bits(trainer.state.dump()) == serial(batches, "none", shards=2, delay=2)


async def test_a_refused_update_leaves_the_state_of_the_batch_before(make_batches: Batches) -> None:
    batches = make_batches(6, 5, 4, V)

    class Jump(StepLR):
        def lr(self, step: int, loss: float | None) -> float:
            return 1e39 if step == 3 and self.gamma == 0.5 else 0.01

    schedule = Jump(0.01, 2, 0.5)
    trainer = Trainer(make_model(), Adam(0.01), schedule=schedule, delay=1, seed=3, executor="inline")
    with pytest.raises(NonFiniteError):
        await trainer.run(batches)
    assert trainer.step == 3
    schedule.gamma = 0.1  # and the learning rate is well again
    await trainer.run(batches[3:])
    state = TrainingState(make_model(), Updater(Adam(0.01), None, Jump(0.01, 2, 0.1)), delay=1, seed=3)
    list(run(state, batches))
    assert bits(trainer.state.dump()) == bits(state.dump())


@pytest.mark.parametrize("optimizer", [Adam, AdamW, RMSprop, Adagrad, SGD])
def test_a_state_from_before_the_first_batch_is_taken_up_by_one_that_was_used(
    optimizer: type[Adam], make_batches: Batches
) -> None:
    state = TrainingState(make_model(), Updater(optimizer(0.01)))
    start, batches = state.dump(), make_batches(3, 5, 4, V)
    list(run(state, batches))
    once = bits(state.dump())
    state.load(start)
    list(run(state, batches))
    assert bits(state.dump()) == once


@pytest.mark.parametrize("delay", [0, 1])
async def test_a_state_in_a_run_is_neither_dumped_nor_changed(delay: int, make_batches: Batches) -> None:
    trainer, refused = Trainer(make_model(), Adam(0.01), executor="inline", delay=delay), list[str]()
    start = trainer.state.dump()

    def on_report(report: Report) -> None:
        state = trainer.state
        for act in (state.dump, lambda: state.load(start), state.reset, state.reset_lanes):
            with pytest.raises(RuntimeError, match="this state is in a run") as caught:
                act()
            refused.append(str(caught.value))

    batches = make_batches(4, 5, 4, V)
    await trainer.run(batches, on_report=on_report)
    assert len(refused) == 16
    expected = TrainingState(make_model(), Updater(Adam(0.01)), delay=delay)
    list(run(expected, batches))
    assert bits(trainer.state.dump()) == bits(expected.dump())


class Remembers(Schedule):
    """It keeps an array, and a list that grows."""

    def __init__(self) -> None:
        self.losses, self.sums, self.refuses = list[float](), np.zeros(3), False

    def lr(self, step: int, loss: float | None) -> float:
        self.losses.append(loss or 0.0)
        self.sums += step
        return 0.01 / (1 + len(self.losses) + float(self.sums[0]))

    def dump(self) -> Part:
        return Part({"sums": self.sums}, {"losses": self.losses})

    def load(self, part: Part) -> None:
        if self.refuses and not part.about["losses"]:
            raise ArgumentError("schedule", "nothing", "something")
        self.losses, self.sums = list(part.about["losses"]), part.arrays["sums"].copy()


def test_a_schedule_may_keep_what_it_likes(make_batches: Batches) -> None:
    batches, states = (
        make_batches(7, 5, 4, V),
        [TrainingState(make_model(), Updater(Adam(0.01), None, Remembers())) for _ in range(2)],
    )
    list(run(states[0], batches[:3]))
    part = states[0].dump()
    kept = bits(part)
    list(run(states[0], batches[3:]))
    assert bits(part) == kept  # a copy, though the schedule's own lists went on
    states[1].load(part)
    list(run(states[1], batches[3:]))
    assert bits(states[1].dump()) == bits(states[0].dump())


def test_where_the_schedule_refuses_a_state_the_optimizer_stays(make_batches: Batches) -> None:
    schedule = Remembers()
    state = TrainingState(make_model(), Updater(Adam(0.01), None, schedule))
    start = state.dump()
    list(run(state, make_batches(3, 5, 4, V)))
    now = bits(state.dump())
    schedule.refuses = True
    with pytest.raises(ArgumentError, match="schedule: expected nothing"):
        state.load(start)
    schedule.refuses = False
    assert bits(state.dump()) == now


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("applied",), "12"),
        (("applied",), -1),
        (("lanes",), 0),
        (("updater", "loss"), "x"),
        (("updater", "optimizer", "lr"), float("nan")),
        (("updater", "optimizer", "steps"), 1.5),
        (("updater", "schedule", "nonsense"), 3),
    ],
)
def test_a_state_with_nonsense_in_it_is_refused_and_changes_nothing(
    path: tuple[str, ...], value: object, make_batches: Batches
) -> None:
    state = TrainingState(make_model(), Updater(Adam(0.01), None, PlateauLR(0.1)))
    list(run(state, make_batches(3, 5, 4, V)))
    part, now = state.dump(), bits(state.dump())
    about = json.loads(json.dumps(part.about))
    *parents, name = path
    inner = about
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    with pytest.raises(ArgumentError):
        state.load(Part(part.arrays, about))
    assert bits(state.dump()) == now


async def test_a_run_that_applied_nothing_does_not_fix_the_lanes(make_batches: Batches) -> None:
    trainer = Trainer(make_model(), Adam(0.01), executor="inline")

    async def stop(receive: Any, send: Any) -> None:  # noqa: ANN401 (the ends of a channel)
        raise OSError("before the first update")

    with pytest.raises(OSError, match="before the first update"):
        await trainer.run(make_batches(2, 5, 4, V), between={"loaded": stop})
    assert trainer.step == 0
    assert await trainer.run(make_batches(2, 5, 6, V)) == 2
