"""Channels and the version store on their own."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from recurrio.pipeline.flow.channels import Channel
from recurrio.pipeline.stages.versions import VersionStore


async def test_a_full_channel_holds_its_sender_back() -> None:
    channel: Channel[int] = Channel("numbers", 2)

    async def send() -> None:
        with channel.sender as sender:
            for number in range(4):
                await sender.send(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        report = channel.report()
        assert (report.items, report.depth, report.peak, report.capacity) == (2, 2, 2, 2)
        with channel.receiver as receiver:
            assert [number async for number in receiver] == [0, 1, 2, 3]
    report = channel.report()
    assert (report.items, report.depth, report.peak) == (4, 0, 2)


@pytest.mark.parametrize("capacity", [-1, 1.5, float("inf")])
def test_a_channel_has_a_finite_capacity(capacity: float) -> None:
    with pytest.raises(ValueError, match="capacity of channel x"):
        Channel("x", capacity)


async def test_a_version_is_awaited_and_then_overwritten() -> None:
    store = VersionStore(np.zeros((2, 3)))
    got: list[int] = []

    async def wait() -> None:
        await store.wait_for(1)
        got.append(store.row(1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        assert got == []
        store.parameters(1)[...] = 1
        store.publish()
    assert got == [1]
    store.parameters(2)[...] = 2
    store.publish()
    await store.wait_for(0)
    for version in (0, 4):
        with pytest.raises(LookupError, match=f"version {version} is not in the store"):
            store.row(version)
    with pytest.raises(LookupError, match="version 0 is not in the store"):
        store.parameters(0)
    latest = np.empty(3)
    store.copy_latest(latest)
    assert latest.tolist() == [2, 2, 2]
