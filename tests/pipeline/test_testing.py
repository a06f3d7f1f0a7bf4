"""The helpers that ship: they accept what is right, and find an error that is planted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from recurrio.core import (
    SGD,
    Adam,
    ArgumentError,
    ConstantLR,
    CosineLR,
    CTCLoss,
    MSELoss,
    PlateauLR,
    SequenceBatch,
    SequenceModel,
    StepLR,
)
from recurrio.core.optim import Optimizer, Schedule
from recurrio.pipeline.flow import Receiver, Sender
from recurrio.pipeline.testing import (
    check_optimizer,
    check_schedule,
    make_messages,
    random_batches,
    run_stage,
    take,
)
from recurrio.pipeline.training.wiring import LINKS

MODELS: dict[str, dict[str, Any]] = {
    "tokens": {"vocabulary_size": 7},
    "features": {"input_size": 3, "output_size": 2, "loss": MSELoss()},
    "last": {"vocabulary_size": 7, "output_size": 2, "output": "last"},
    "labels": {"input_size": 3, "output_size": 4, "loss": CTCLoss(blank=1)},
}


@pytest.mark.parametrize("kind", MODELS)
async def test_random_batches_fit_the_model(kind: str) -> None:
    model = SequenceModel(**MODELS[kind], hidden_size=4, seed=0)
    batches = random_batches(model, 9, 5, 3)
    assert len(await take(batches, 100, model)) == 9
    assert [batch.reset for batch in batches] == [True, *[False] * 6, True, False]
    assert not np.array_equal(batches[0].inputs, batches[1].inputs)


async def test_a_source_is_taken_from_and_closed() -> None:
    model, closed = SequenceModel(7, hidden_size=4, seed=0), False

    async def source() -> AsyncIterator[SequenceBatch]:
        nonlocal closed
        try:
            while True:
                yield random_batches(model, 1, 5, 3)[0]
        finally:
            closed = True

    assert len(await take(source(), 4, model)) == 4
    assert closed
    with pytest.raises(ArgumentError, match="inputs: expected indices from 0 to 6"):
        await take([SequenceBatch(np.full((2, 2), 9), np.zeros((2, 2), int))], 4, model)


@pytest.mark.parametrize("link", LINKS)
async def test_a_stage_is_run_on_its_own(link: str) -> None:
    async def passing(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            await send.send(message)

    async def dropping(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            if message.batch_number != 1:
                await send.send(message)

    messages = make_messages(link, 4)
    got = await run_stage(passing, messages)
    assert [message.batch_number for message in got] == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="the stage on its own has sent batch 2, where batch 1 was to go on"):
        await run_stage(dropping, messages)


class KeepsTheGradient(SGD):
    def update(self, parameters: Any, gradient: Any, out: Any, before: Any, after: Any) -> None:  # noqa: ANN401
        super().update(parameters, gradient, out, before, after)
        gradient *= 0.5


class WritesInPlace(Adam):
    def update(self, parameters: Any, gradient: Any, out: Any, before: Any, after: Any) -> None:  # noqa: ANN401
        super().update(parameters, gradient, out, before, after)
        before["mean"][...] = after["mean"]


class KeepsSomethingAside(SGD):
    factor = 1.0

    def update(self, parameters: Any, gradient: Any, out: Any, before: Any, after: Any) -> None:  # noqa: ANN401
        self.factor *= 0.5
        super().update(parameters, self.factor * gradient, out, before, after)


@pytest.mark.parametrize("make", [SGD, Adam, lambda: SGD(0.1, momentum=0.9, nesterov=True)])
def test_an_optimizer_that_is_right_passes(make: Any) -> None:  # noqa: ANN401
    check_optimizer(make)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (KeepsTheGradient, "the gradient was written"),
        (WritesInPlace, "left something in a slot"),
        (KeepsSomethingAside, "taken back is felt"),
    ],
)
def test_an_optimizer_that_is_wrong_is_found(wrong: type[Optimizer], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_optimizer(wrong)


@pytest.mark.parametrize(
    "make", [lambda: ConstantLR(0.1), lambda: StepLR(0.1, 2), lambda: CosineLR(0.1, 20, 2), lambda: PlateauLR(0.1)]
)
def test_a_schedule_that_is_right_passes(make: Any) -> None:  # noqa: ANN401
    check_schedule(make)


def test_a_schedule_that_is_wrong_is_found() -> None:
    class Forgetful(Schedule):
        """It keeps something that it does not dump."""

        count = 0

        def lr(self, step: int, loss: float | None) -> float:
            self.count += 1
            return 1 / self.count

    class Ends(Schedule):
        def lr(self, step: int, loss: float | None) -> float:
            return 0.1 - 0.05 * step

    with pytest.raises(AssertionError, match="after a reset"):
        check_schedule(Forgetful)
    with pytest.raises(AssertionError, match="learning rates of"):
        check_schedule(Ends)
