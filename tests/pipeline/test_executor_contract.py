"""What every executor promises; the table is the list of them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from recurrio.core import Adam, SequenceModel
from recurrio.core.model.shard import Shard
from recurrio.core.optim.updater import Updater
from recurrio.core.training_state import TrainingState
from recurrio.pipeline.executors import EXECUTORS, Executor, Work
from recurrio.pipeline.plan import Plan, Ticket
from recurrio.pipeline.testing import random_batches

T, B = 5, 4


def make_model() -> SequenceModel:
    return SequenceModel(6, embedding_size=3, hidden_size=8, num_layers=2, dropout=0.3, seed=1)


def make_plan(model: SequenceModel, name: str, *, shards: int = 2, ranks: int = 2, delay: int = 1) -> Plan:
    counts = {"shards": shards, "ranks": ranks, "delay": delay, "seed": 3}
    return Plan(model=model, **counts, blas_threads=1, executor=name, capacity=1, watchdog=None)


def make_work(name: str) -> Work:
    model = make_model()
    plan = make_plan(model, name)
    counts = {"shards": plan.shards, "ranks": plan.ranks, "delay": plan.delay, "seed": plan.seed}
    state = TrainingState(model, Updater(Adam(0.01)), **counts)
    state.open(T, B)
    return Work(plan, state, T)


@pytest.fixture(params=EXECUTORS)
def name(request: pytest.FixtureRequest) -> str:
    why = EXECUTORS[request.param].refuses(make_plan(make_model(), request.param))
    if why is not None:
        pytest.skip(f"{request.param}: {why}")
    return str(request.param)


@contextmanager
def opened(work: Work) -> Iterator[Executor]:
    executor = EXECUTORS[work.plan.executor](work)
    try:
        yield executor
    finally:
        executor.close()
        executor.release()


def test_it_says_what_it_is(name: str) -> None:
    kind, plan = EXECUTORS[name], make_plan(make_model(), name)
    assert kind.name == name
    assert isinstance(kind.holds_up_the_loop, bool)
    assert isinstance(kind.starts_slowly, bool)
    assert 1 <= kind.workers(plan) <= plan.passes() * plan.ranks


async def test_its_places_compute_what_the_shards_do(name: str) -> None:
    """Two batches in flight at once, in the workspaces 1 and 0, with two versions; the halves of backward as well."""
    work = make_work(name)
    state, rng = work.state, np.random.default_rng(0)
    memory = state.memory(work.plan.workspaces())
    shards = [Shard(state.model, T, width, memory, m, state.seed) for m, width in enumerate(state.widths)]
    batches = random_batches(state.model, 2, T, B)
    with opened(work) as executor:
        await executor.ready()
        assert len(executor.places) == len(shards) == len(executor.memory.gradients)
        for row in range(len(memory.parameters)):
            executor.memory.parameters[row] = memory.parameters[row] = rng.standard_normal(state.model.layout.size)
        for m, (place, shard, part) in enumerate(zip(executor.places, shards, state.parts, strict=True)):
            tickets = [Ticket(number, m, number, 1 - number, T * B, 7.0) for number in range(2)]
            for ticket, batch in zip(tickets, batches, strict=True):
                lanes = batch.lanes(part)
                loss = await place.forward(ticket, ticket.version, lanes)
                assert loss == shard.forward(ticket.workspace, ticket.version, ticket.batch_number, lanes)
            for ticket in tickets:
                shard.backward(ticket.workspace, 1 / 7.0)
                if ticket.batch_number:
                    gradients = await place.backward(ticket)
                else:
                    await place.recurrence(ticket)
                    gradients = await place.weight_gradient(ticket)
                assert gradients.shape == (2, state.model.layout.size)
                assert np.array_equal(gradients, memory.gradients[m][:, ticket.workspace])
        executor.close()
        for mine, theirs in zip(executor.memory.state_before(2), memory.state_before(2), strict=True):
            for arrays in zip(mine[0] + mine[1], theirs[0] + theirs[1], strict=True):
                assert all(np.array_equal(*pair) for pair in zip(*arrays, strict=True))


async def test_a_state_goes_in_and_comes_out(name: str) -> None:
    work = make_work(name)
    start = work.state.model.parameters.copy()
    with opened(work) as executor:
        await executor.ready()
        work.state.enter(executor.memory)
        assert np.array_equal(executor.memory.parameters[0], start)
        executor.memory.parameters[1] = 2 * start
        executor.close()
        work.state.leave(executor.memory, 1)
    assert np.array_equal(work.state.model.parameters, 2 * start)


async def test_it_can_be_closed_before_it_is_ready_and_twice(name: str) -> None:
    with opened(make_work(name)) as executor:
        executor.close()


async def test_it_leaves_nothing_for_the_garbage_collector(name: str) -> None:
    gc.collect()
    gc.disable()
    try:
        with opened(make_work(name)) as executor:
            await executor.ready()
            memory = weakref.ref(executor.memory.parameters)
        del executor
        assert memory() is None
    finally:
        gc.enable()
