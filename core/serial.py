"""The plain training loop: no trio, no threads. It is the oracle of the pipeline.

Batch `k`, from 0, is computed, forward and backward, with parameter version ``max(0, k − delay)``; its gradient
turns version `k` into version `k+1`. Shard gradients are added in shard order.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from .batch import SequenceBatch, shard_lanes
from .model import SequenceModel
from .optimizers import Optimizer, clip_norm
from .parameters import Array

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
def update(parameters: Array, gradients: list[Array], optimizer: Optimizer, clip: float | None, out: Array) -> float:
    """Sum `gradients` in order into the first, clip, and write the next version into `out`; return the norm.

    Raises NonFiniteError where the norm or the next version is not finite.
    """
    total = gradients[0]
    for gradient in gradients[1:]:
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
    shards: int = 1,
    delay: int = 0,
) -> Iterator[Step]:
    """Train ``model.parameters`` in place on `batches`, and yield a `Step` for each.

    All batches have the shape ``(T, B)`` of the first.
    """
    versions = deque([model.parameters.copy()], maxlen=delay + 1)
    lanes: list[slice] = []
    for index, batch in enumerate(batches):
        if not lanes:
            lanes = shard_lanes(batch.inputs.shape[1], shards)
            sizes = [shard.stop - shard.start for shard in lanes]
            workspaces = [model.workspace(batch.inputs.shape[0], size) for size in sizes]
            states = [model.initial_state(size) for size in sizes]
        if batch.reset:
            states = [model.initial_state(size) for size in sizes]
        parameters = versions[0]
        loss, gradients = 0.0, []
        for shard, workspace, state in zip(lanes, workspaces, states, strict=True):
            part = batch.lanes(shard)
            loss += model.forward(parameters, workspace, part.inputs, part.targets, state)
            gradients.append(model.backward(parameters, workspace, 1 / batch.inputs.size))
        grad_norm = update(versions[-1], gradients, optimizer, clip, model.parameters)
        versions.append(model.parameters.copy())
        yield Step(index + 1, planned_version(index, delay), loss / batch.inputs.size, grad_norm)
