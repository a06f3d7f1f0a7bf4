"""Stages of the user's between two of the pipeline: what they may not do is an error that names them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from recurrio.core import Adam, SequenceBatch, SequenceModel
from recurrio.pipeline import Trainer
from recurrio.pipeline.flow.channels import Receiver, Sender
from recurrio.pipeline.training.wiring import LINKS, Stage

Batches = Callable[..., list[SequenceBatch]]
VOCABULARY = 9


def make_model() -> SequenceModel:
    return SequenceModel(VOCABULARY, embedding_size=5, hidden_size=8, seed=1)


async def drop_one(receive: Receiver[Any], send: Sender[Any]) -> None:
    async for message in receive:
        if message.batch_number != 2:
            await send.send(message)


async def send_twice(receive: Receiver[Any], send: Sender[Any]) -> None:
    async for message in receive:
        await send.send(message)
        if message.batch_number == 2:
            await send.send(message)


async def end_early(receive: Receiver[Any], send: Sender[Any]) -> None:
    for _ in range(2):
        await send.send(await receive.receive())


async def drop_the_last(receive: Receiver[Any], send: Sender[Any]) -> None:
    async for message in receive:
        if message.batch_number != 29:
            await send.send(message)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (drop_one, "the stage after {link} 1 has sent batch 3, where batch 2 was to go on"),
        (send_twice, "the stage after {link} 1 has sent batch 2, where nothing was to go on"),
        (end_early, "the stage after {link} 1 has returned, where there was its input to end"),
        (drop_the_last, "the stage after {link} 1 has returned, where there was batch 29 to go on"),
    ],
)
@pytest.mark.parametrize("link", LINKS)
async def test_a_stage_of_the_user_s_that_breaks_the_order_is_an_error(
    link: str, stage: Stage, message: str, make_batches: Batches
) -> None:
    async def of_shard_1(receive: Receiver[Any], send: Sender[Any]) -> None:
        nonlocal shards
        shards += 1
        if shards == 2:
            await stage(receive, send)
        else:
            async for one in receive:
                await send.send(one)

    shards, trainer = 0, Trainer(make_model(), Adam(0.01), shards=2, delay=2, executor="inline", capacity=2)
    with pytest.raises(RuntimeError) as caught:
        await trainer.run(make_batches(30, 6, 4, VOCABULARY), between={link: of_shard_1})
    assert re.sub(r"[01] has", "1 has", str(caught.value)) == message.format(link=link)


async def test_a_link_that_does_not_exist_is_refused(make_batches: Batches) -> None:
    with pytest.raises(ValueError, match="between: expected stages for loaded, forwarded, backwarded, got 'updated'"):
        await Trainer(make_model(), Adam(0.01)).run(make_batches(1, 6, 4, VOCABULARY), between={"updated": drop_one})
