"""Whatever the timing: the bits of the serial loop, over the product of what can be chosen and with stages that dawdle.

Time is virtual here: a stage that sleeps makes the others overtake it, without anybody waiting.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import trio

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.core.serial import train
from recurrio.pipeline import Trainer
from recurrio.pipeline.executors.inline import InlinePlace
from recurrio.pipeline.flow.channels import Receiver, Sender
from recurrio.pipeline.plan import plan
from recurrio.pipeline.plan.messages import Backwarded
from recurrio.pipeline.training.wiring import LINKS

T, B, V, COUNT = 3, 4, 7, 100
PASSES = ("forward", "backward", "weight_gradient")


def make_model(cell: str = "lstm") -> SequenceModel:
    return SequenceModel(V, embedding_size=3, hidden_size=4, cell=cell, seed=1)


@cache
def batches() -> list[SequenceBatch]:
    rng = np.random.default_rng(5)
    return [SequenceBatch(*pair) for pair in rng.integers(0, V, (COUNT, 2, T, B))]


@cache
def expected(cell: str, shards: int, delay: int) -> bytes:
    model = make_model(cell)
    list(train(model, Adam(0.01), batches(), clip=0.5, shards=shards, delay=delay))
    return model.parameters.tobytes()


CELLS = ("rnn", "lstm", "gru")
CASES = [  # the cell in turn, with each value of the others: it is behind the place, which knows no timing
    (CELLS[(shards + delay + capacity + (executor == "thread")) % 3], shards, delay, executor, capacity)
    for shards, delay, executor, capacity in product((1, 2, 4), range(4), ("inline", "thread"), (0, 1, 4))
]


@pytest.mark.parametrize(("cell", "shards", "delay", "executor", "capacity"), CASES)
async def test_the_weights_after_100_steps_are_those_of_the_serial_loop(
    cell: str, shards: int, delay: int, executor: str, capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SPLIT", 0)  # with a delay the backward pass is two stages
    model = make_model(cell)
    trainer = Trainer(model, Adam(0.01), clip=0.5, shards=shards, delay=delay, executor=executor, capacity=capacity)
    assert await trainer.run(batches()) == COUNT
    assert model.parameters.tobytes() == expected(cell, shards, delay)


def test_shards_and_delay_are_what_the_weights_are_a_function_of() -> None:
    results = [expected("lstm", shards, delay) for shards in (1, 2, 4) for delay in (0, 1, 2, 3)]
    assert len(set(results)) == len(results)


def dawdle(monkeypatch: pytest.MonkeyPatch, pause: Callable[[str, InlinePlace], float]) -> None:
    """Make every pass sleep before and after, for as long as `pause` says."""

    def dawdling(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(self: InlinePlace, *arguments: object, **options: object) -> object:
            await trio.sleep(pause(name, self))
            result = await method(self, *arguments, **options)
            await trio.sleep(pause(name, self))
            return result

        return call

    for name in PASSES:
        monkeypatch.setattr(InlinePlace, name, dawdling(name, getattr(InlinePlace, name)))


@pytest.mark.parametrize("seed", range(50))
async def test_every_stage_may_dawdle(
    seed: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    dice = random.Random(seed)
    shards, delay, capacity = dice.choice((1, 2, 4)), dice.randrange(4), dice.choice((0, 1, 4))
    monkeypatch.setattr(plan, "SPLIT", dice.choice((0, plan.SPLIT)))

    def pause(*_: object) -> float:
        return dice.choice((0, 0, 0.1, 1, 5)) * dice.random()

    async def source() -> AsyncIterator[SequenceBatch]:
        for batch in batches():
            await trio.sleep(pause())
            yield batch

    async def passing(receive: Receiver[Any], send: Sender[Any]) -> None:
        async for message in receive:
            await trio.sleep(pause())
            await send.send(message)

    dawdle(monkeypatch, pause)
    model = make_model()
    trainer = Trainer(
        model, Adam(0.01), clip=0.5, shards=shards, delay=delay, executor="inline", capacity=capacity, watchdog=20
    )
    await trainer.run(source(), between=dict.fromkeys(LINKS, passing))
    assert model.parameters.tobytes() == expected("lstm", shards, delay)
    assert trio.current_time() > 100  # virtual seconds


async def test_the_sum_is_in_shard_order_whoever_is_late(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    shards, places, parts = 4, list[InlinePlace](), dict[int, dict[int, np.ndarray]]()
    make = InlinePlace.__init__

    def numbered(self: InlinePlace, *arguments: Any) -> None:  # noqa: ANN401
        make(self, *arguments)
        places.append(self)  # in the order of the shards

    def pause(name: str, place: InlinePlace) -> float:
        return 10.0 if name == "backward" and place is places[0] else 0.0

    async def record(receive: Receiver[Backwarded], send: Sender[Backwarded]) -> None:
        async for message in receive:
            parts.setdefault(message.batch_number, {})[message.ticket.shard] = message.gradients[0].copy()
            await send.send(message)

    monkeypatch.setattr(InlinePlace, "__init__", numbered)
    dawdle(monkeypatch, pause)
    model = make_model()
    await Trainer(model, Adam(0.01), clip=0.5, shards=shards, executor="inline").run(
        batches(), between={"backwarded": record}
    )
    assert model.parameters.tobytes() == expected("lstm", shards, 0)

    def add_up(gradients: Iterable[np.ndarray]) -> bytes:
        first, *others = gradients
        return np.asarray(sum(others, start=first)).tobytes()

    assert [list(batch)[-1] for batch in parts.values()] == COUNT * [0]  # shard 0 always came last
    in_order = [add_up(batch[shard] for shard in range(shards)) for batch in parts.values()]
    assert in_order != [add_up(batch.values()) for batch in parts.values()]
