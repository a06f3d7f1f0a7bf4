"""The plain training loop: no trio, no threads. It is the oracle of the pipeline.

Batch `k`, from 0, is computed, forward and backward, with parameter version ``max(0, k − delay)``; its gradient
turns version `k` into version `k+1`. Gradients are added in the order of the shards, and in a shard of its ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import threadpoolctl

from .base.arena import Arena
from .base.checks import ArgumentError, check_count, check_number
from .base.parameters import Array
from .model.batch import SequenceBatch, shard_lanes
from .model.sequence_model import SequenceModel
from .model.shard import Carried, Shard
from .optim.clipping import clip_norm
from .optim.optimizers import Optimizer
from .optim.schedules import Schedule

__all__ = ["NonFiniteError", "Step", "planned_version", "train", "update"]


class NonFiniteError(ArithmeticError):
    """A gradient or an updated parameter is infinite or not a number; nothing was applied."""


class Step(NamedTuple):
    """What one applied batch reports: the version it was computed with, mean loss in nats, gradient norm."""

    step: int
    version: int
    loss: float
    grad_norm: float


def planned_version(batch: int, delay: int) -> int:
    """The parameter version that batch number `batch` is computed with."""
    return max(0, batch - delay)


@np.errstate(over="ignore", invalid="ignore")
def update(
    parameters: Array,
    gradients: list[Array],
    optimizer: Optimizer,
    clip: float | None,
    out: Array,
    scratch: Array,
) -> float:
    """Sum `gradients` in order, clip, and write the next version into `out`; return the norm.

    `scratch` takes the sum where there are several; a single gradient is clipped in place.

    Raises NonFiniteError where the norm or the next version is not finite.
    """
    total = gradients[0]
    if len(gradients) > 1:
        total = np.add(gradients[0], gradients[1], scratch)
        for gradient in gradients[2:]:
            np.add(total, gradient, total)
    norm = clip_norm(total, clip)
    if not math.isfinite(norm):
        raise NonFiniteError(f"the gradient norm is {norm}; a smaller learning rate or clipping may help")
    optimizer.step(parameters, total, out)
    if not np.isfinite(out).all():
        raise NonFiniteError("the update made a parameter infinite; a smaller learning rate may help")
    return norm


def train(
    model: SequenceModel,
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

    All batches have the shape ``(T, B)`` of the first. `shards` and `ranks` cut the computation up as the pipeline
    does: see `recurrio.core.model.shard` and `recurrio.core.base.ranks`. `blas_threads` is the number of threads of
    one product. `schedule` sets ``optimizer.lr`` before each update; `seed` is that of the dropout.

    Raises ArgumentError where a batch is not one for the model, NonFiniteError as `update` does.
    """
    check_count("delay", delay, 0)
    check_count("ranks", ranks)
    if ranks > model.network.stack.most_ranks:
        raise ArgumentError("ranks", f"at most {model.network.stack.most_ranks} for this model", ranks)
    if clip is not None:
        check_number("clip", clip, 0, open_low=True)
    versions = np.tile(model.parameters, (delay + 1, 1))  # version v is in row v % (delay + 1)
    blas = threadpoolctl.ThreadpoolController()
    scratch = np.empty_like(model.parameters)
    lanes: list[slice] = []
    mean_loss: float | None = None
    for number, batch in enumerate(batches):
        model.network.check(batch)
        if not lanes:
            shape = batch.inputs.shape
            steps, width = shape[:2]
            lanes = shard_lanes(width, shards)
            widths = [part.stop - part.start for part in lanes]
            carried = [Carried(model, width, ranks, 1, Arena()) for width in widths]
            parts = [
                Shard(model, steps, width, versions, kept, (seed, index))
                for index, (width, kept) in enumerate(zip(widths, carried, strict=True))
            ]
            vectors = [rank[0] for kept in carried for rank in kept.gradients]
        if batch.inputs.shape != shape:
            raise ArgumentError("inputs", f"the shape {shape} of the first batch", batch.inputs.shape)
        version = planned_version(number, delay)
        slot, loss, total = version % (delay + 1), 0.0, model.network.total(batch)
        with blas.limit(limits=blas_threads, user_api="blas"):
            for part, shard in zip(lanes, parts, strict=True):
                loss += shard.forward(0, slot, number, batch.lanes(part))
                shard.backward(0, 1 / total)
            if schedule is not None:
                optimizer.lr = schedule.lr(number, mean_loss)
            grad_norm = update(versions[number % (delay + 1)], vectors, optimizer, clip, model.parameters, scratch)
        versions[(number + 1) % (delay + 1)] = model.parameters
        mean_loss = loss / total
        yield Step(number + 1, version, mean_loss, grad_norm)
