"""What the command line says of a training run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...core.optim.optimizer import Optimizer
from ...core.optim.optimizers import SGD, Adagrad, Adam, AdamW, RMSprop

__all__ = ["OPTIMIZERS", "Settings"]

# By name: how to make one from a learning rate, and the learning rate where none is given.
OPTIMIZERS: dict[str, tuple[Callable[[float], Optimizer], float]] = {
    "adagrad": (Adagrad, 0.05),
    "adam": (Adam, 0.002),
    "adamw": (AdamW, 0.002),
    "rmsprop": (RMSprop, 0.002),
    "sgd": (SGD, 0.5),
}


@dataclass(frozen=True)
class Settings:
    """What the command line says of a run; the names are those of the options, and so are the defaults."""

    source: str
    cell: str = "lstm"
    hidden: int = 128
    layers: int = 1
    embedding: int = 64
    batch_size: int = 32
    seq_len: int = 64
    vocabulary: str = "chars"
    encoding: str | None = None
    steps: int | None = None
    epochs: int | None = None
    optimizer: str = "adam"
    lr: float | None = None
    clip: float | None = 1.0
    delay: int = 0
    shards: int = 1
    executor: str = "auto"
    watchdog: float | None = 300.0
    seed: int = 0

    def make_optimizer(self) -> Optimizer:
        """The optimizer, new."""
        make, lr = OPTIMIZERS[self.optimizer]
        return make(self.lr if self.lr is not None else lr)
