"""The serial loop: training without any concurrency. It is the oracle that the pipeline is tested against."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .base.blas import blas_threads as blas_limit
from .base.checks import check_count
from .model.batch import SequenceBatch
from .model.shard import Shard
from .model.trainable import Trainable
from .optim.optimizer import Optimizer
from .optim.schedules import Schedule
from .optim.updater import Updater, planned_version
from .training_state import TrainingState

__all__ = ["Step", "run", "train"]


class Step(NamedTuple):
    """What one applied batch reports: the version it was computed with, its mean loss, the gradient norm."""

    step: int
    version: int
    loss: float
    grad_norm: float


def train(
    model: Trainable,
    optimizer: Optimizer,
    batches: Iterable[SequenceBatch],
    *,
    clip: float | None = None,
    schedule: Schedule | None = None,
    shards: int = 1,
    ranks: int = 1,
    delay: int = 0,
    blas_threads: int = 1,
    seed: int = 0,
) -> Iterator[Step]:
    """Train ``model.parameters`` in place on `batches`, and yield a `Step` for each.

    No batch has more steps or lanes than the first; one with fewer leaves the state of the last lanes as it is, see
    `recurrio.core.model.shard`. `shards` and `ranks` cut the computation up as the pipeline does: see also
    `recurrio.core.base.ranks`. `blas_threads` is the number of threads of one product. `schedule` sets
    ``optimizer.lr`` before each update; `seed` is that of the dropout.

    Raises ArgumentError where a batch is not one for the model, NonFiniteError as `Updater.apply` does.
    """
    updater = Updater(optimizer, clip, schedule)
    state = TrainingState(model, updater, shards=shards, ranks=ranks, delay=delay, seed=seed)
    yield from run(state, batches, blas_threads=blas_threads)


def run(
    state: TrainingState,
    batches: Iterable[SequenceBatch],
    *,
    largest: tuple[int, int] | None = None,
    keys: int = 0,
    spare: int = 0,
    blas_threads: int = 1,
) -> Iterator[Step]:
    """Train on, from `state`; see `train`. The state is that after each batch when its `Step` is yielded.

    `largest` are the most steps and lanes of a batch, where the first is not that one; for batches of keys, `keys` is
    how many the table of states has room for, of which the last `spare` rows always begin from zeros.
    """
    blas_threads, model = check_count("blas_threads", blas_threads), state.model
    first, shards = True, list[Shard]()
    for batch in batches:
        model.network.check(batch)
        if first:
            first = False
            steps, lanes = largest or (model.network.steps(batch), batch.inputs.shape[1])
            state.open(steps, lanes, keys, spare)
            steps = state.steps
            memory = state.memory(workspaces=1)
            rows = memory.parameters
            shards = [Shard(model, steps, width, memory, m, state.seed) for m, width in enumerate(state.widths)]
            gradients = [rank[0] for ranks in memory.gradients for rank in ranks]
        parts = state.divide(batch)
        state.enter(memory)  # somebody may have changed the model in between
        number = state.applied
        if batch.actions:
            state.updater.actions.plan(number, batch.actions)
        try:
            version, total, loss = planned_version(number, state.delay), model.network.total(batch), 0.0
            with blas_limit(blas_threads), np.errstate(over="ignore", invalid="ignore"):
                for part, shard in zip(parts, shards, strict=True):
                    loss += shard.forward(0, version % len(rows), number, part)
                    shard.backward(0, 1 / total)
                before, after = rows[number % len(rows)], rows[(number + 1) % len(rows)]
                grad_norm = state.updater.apply(number, before, gradients, loss / total, after)
        except BaseException:
            state.leave(memory, number)
            raise
        state.leave(memory, number + 1)
        yield Step(number + 1, version, loss / total, grad_norm)
