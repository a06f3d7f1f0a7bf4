"""The optimizers by name."""

from __future__ import annotations

from collections.abc import Callable

from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = ["OPTIMIZERS"]

# By name: how to make one from a learning rate, and the learning rate where none is given.
OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], float]] = {
    "adagrad": (Adagrad, 0.05),
    "adam": (Adam, 0.002),
    "adamw": (AdamW, 0.002),
    "rmsprop": (RMSprop, 0.002),
    "sgd": (SGD, 0.5),
}
