"""Helpers to test parts of one's own: a stage, an optimizer, a schedule, a source. Recurrio's own tests use them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import numpy as np

from ..core.base.parameters import Array
from ..core.losses.ctc import CTCLoss
from ..core.losses.loss import CrossEntropyLoss
from ..core.model.batch import SequenceBatch
from ..core.model.sequence_model import SequenceModel
from ..core.optim.optimizer import Optimizer
from ..core.optim.schedules import Schedule
from .flow.channels import Channel
from .flow.group import open_group
from .plan.messages import Backwarded, Forwarded, Loaded, Ticket
from .stages.intake import Batches, Intake
from .training.wiring import Stage, run_own_stage

__all__ = ["check_optimizer", "check_schedule", "make_messages", "random_batches", "run_stage", "take"]


def random_batches(model: SequenceModel, count: int, steps: int, lanes: int, *, seed: int = 0) -> list[SequenceBatch]:
    """`count` batches of `steps` T and `lanes` B that `model` can be trained on, every seventh with a reset."""
    rng, network = np.random.default_rng(seed), model.network
    arrays = network.arrays(steps, lanes)

    def draw(name: str, below: int | None) -> Array:
        shape, dtype = arrays[name]
        if below is not None:
            return rng.integers(0, below, shape, np.int32)
        return rng.standard_normal(shape).astype(dtype)

    def draw_targets() -> Array:
        if isinstance(network.loss, CTCLoss):
            labels = draw("targets", network.output_size - 1)[:-1]
            labels += labels >= network.loss.blank
            labels[np.arange(len(labels))[:, None] >= rng.integers(0, steps + 1, lanes)] = -1
            return labels
        return draw("targets", network.output_size if isinstance(network.loss, CrossEntropyLoss) else None)

    return [
        SequenceBatch(draw("inputs", network.vocabulary_size), draw_targets(), reset=number % 7 == 0)
        for number in range(count)
    ]


def make_messages(link: str, count: int, *, size: int = 5) -> list[Any]:
    """Messages as they pass at `link`, ``"loaded"``, ``"forwarded"`` or ``"backwarded"``, of batches 0 … `count` − 1.

    Gradients are ``(1, size)``, of random numbers.
    """
    arrays, rng = np.zeros((2, 3, 4), np.int32), np.random.default_rng(0)
    made: list[Any] = []
    for number in range(count):
        ticket = Ticket(number, 0, number, 0, 12, 12.0)
        made.append(
            {
                "loaded": Loaded(number, 0, SequenceBatch(*arrays), 12, 12.0),
                "forwarded": Forwarded(ticket, 1.0),
                "backwarded": Backwarded(ticket, 1.0, rng.standard_normal((1, size)).astype(np.float32)),
            }[link]
        )
    return made


async def run_stage(stage: Stage, messages: Sequence[Any]) -> list[Any]:
    """Run `stage` alone, on `messages`: what it has sent on.

    Raises RuntimeError where it does not send on each of them in order, as in a run.
    """
    before, behind = Channel[Any]("before", 0), Channel[Any]("behind", 0)

    async def send() -> None:
        with before.sender as sender:
            for message in messages:
                await sender.send(message)

    async with open_group() as group:
        group.start_soon(send)
        group.start_soon(run_own_stage, stage, before.receiver, behind.sender, "on its own")
        with behind.receiver as receiver:
            return [message async for message in receiver]


async def take(batches: Batches, count: int, model: SequenceModel) -> list[SequenceBatch]:
    """The first batches of a source, at most `count`, each checked to be one for `model`, and copied.

    The source is closed behind them. Raises ArgumentError for what is no batch, or does not fit.
    """
    intake, taken = Intake(batches, count), list[SequenceBatch]()
    try:
        while isinstance(batch := await intake.next(len(taken)), SequenceBatch):
            model.network.check(batch)
            taken.append(batch.lanes(slice(None)))
    finally:
        await intake.aclose()
        if isinstance(batches, AsyncGenerator):
            await batches.aclose()
    return taken


def check_optimizer(make: Callable[[], Optimizer], *, size: int = 50, steps: int = 7) -> None:
    """Raise AssertionError where the optimizers that `make` gives break a promise of `Optimizer`.

    In place or aside the result is the same, and neither the gradient nor what was there before is written; a step that
    is taken back has not been; the state goes out and in again; after a reset it is a new one.
    """
    rng = np.random.default_rng(0)
    start, gradients = rng.standard_normal(size), rng.standard_normal((steps, size))

    def run(optimizer: Optimizer, parameters: Array, rows: Array) -> Array:
        for gradient in rows:
            kept, before, out = gradient.copy(), parameters.copy(), np.full(size, np.nan)
            optimizer.step(parameters, gradient, out)
            assert np.array_equal(gradient, kept), "the gradient was written"
            assert np.array_equal(parameters, before), "the parameters before the step were written"
            parameters = out
        return parameters

    optimizer, in_place, half = make(), make(), steps // 2
    expected, parameters = run(optimizer, start, gradients), start.copy()
    for gradient in gradients:
        in_place.step(parameters, gradient)
    assert np.array_equal(parameters, expected), "a step in place gives something else"

    again, other = make(), make()
    middle = run(again, start, gradients[:half])
    before = again.dump()
    again.step(middle, 1e3 * gradients[0], np.empty(size))
    again.undo()
    after = again.dump()
    assert after.about == before.about, "a step that was taken back has left something"
    assert all(np.array_equal(after.arrays[name], slot) for name, slot in before.arrays.items()), (
        "a step that was taken back has left something in a slot"
    )
    assert np.array_equal(run(again, middle, gradients[half:]), expected), "a step that was taken back is felt"
    other.load(before)
    assert np.array_equal(run(other, middle, gradients[half:]), expected), "a loaded state gives something else"
    again.load(make().dump())
    assert np.array_equal(run(again, start, gradients), expected), "a new state is not taken up by a used one"
    again.reset()
    assert np.array_equal(run(again, start, gradients), expected), "after a reset it gives something else"


def check_schedule(make: Callable[[], Schedule], losses: Sequence[float] = (3, 2, 2, 2, 1, 1, 1, 1)) -> None:
    """Raise AssertionError where the schedules that `make` gives break a promise of `Schedule`.

    Every learning rate is a finite number from 0; the state goes out and in again at every step; after a reset it is
    a new one.
    """

    def run(schedule: Schedule, first: int) -> list[float]:
        return [schedule.lr(step, losses[step - 1] if step else None) for step in range(first, len(losses) + 1)]

    schedule = make()
    expected = run(schedule, 0)
    assert all(np.isfinite(lr) and lr >= 0 for lr in expected), f"learning rates of {expected}"
    schedule.reset()
    assert run(schedule, 0) == expected, "after a reset it gives something else"
    for first in range(len(losses)):
        before, other = make(), make()
        for step in range(first):
            before.lr(step, losses[step - 1] if step else None)
        other.load(before.dump())
        assert run(other, first) == expected[first:], "a loaded state gives something else"
