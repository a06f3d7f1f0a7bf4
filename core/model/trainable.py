"""What a model has to have so that the serial loop and the pipeline can train it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..base.arena import Arena, Arenas
from ..base.parameters import Array, Layout
from ..base.ranks import Pass, Rank
from ..cells.buffers import State
from .batch import BatchSpec, SequenceBatch

__all__ = ["BatchPasses", "Shape", "Trainable", "TrainableNetwork"]

Shape = tuple[int, ...]  # of a batch, the lanes last; the shapes of which passes are laid out


class BatchPasses(Protocol):
    """The passes over the batches of one `shape`, in memory of the `arenas`.

    `forward` is given the blocks of the parameters; see `recurrio.core.model.workspace.Workspace`.
    """

    @property
    def shape(self) -> Shape:
        """See the class."""
        ...

    @property
    def arenas(self) -> Arenas:
        """See the class."""
        ...

    def forward(
        self,
        blocks: Any,  # noqa: ANN401 (those of its network)
        batch: SequenceBatch,
        state: list[State],
        rng: np.random.Generator | None = None,
    ) -> Pass[float]:
        """The summed loss of `batch`, of all ranks."""
        ...

    def backward(self, scale: float) -> Pass[None]:
        """Carry the gradient of `scale` times it back."""
        ...

    def weight_gradient(self) -> Pass[None]:
        """Write this rank's part of the gradient of the parameters."""
        ...


class TrainableNetwork(Protocol):
    """What a model is without its parameters; ``draws``: whether a forward pass in training draws random numbers."""

    @property
    def most_ranks(self) -> int:
        """How many ranks can share its units."""
        ...

    @property
    def draws(self) -> bool:
        """See the class."""
        ...

    def blocks(self, parameters: Array) -> Any:  # noqa: ANN401 (as its passes take them)
        """The blocks of `parameters` ``(size,)``, as views."""
        ...

    def check(self, batch: SequenceBatch) -> None:
        """Raise ArgumentError unless `batch` is one that the model can be trained on."""
        ...

    def total(self, batch: SequenceBatch) -> float:
        """What the summed loss of `batch`, or of each of its shards, is divided by."""
        ...

    def spec(self, steps: int, lanes: int) -> BatchSpec:
        """The arrays of batches of up to `steps` of `lanes`."""
        ...

    def steps(self, batch: SequenceBatch) -> int:
        """How many steps there must be room for."""
        ...

    def shape(self, batch: SequenceBatch) -> Shape:
        """That of `batch`."""
        ...

    def largest(self, steps: int, lanes: int) -> Shape:
        """That of batches of `steps` of `lanes`, none of which is larger."""
        ...


class Trainable(Protocol):
    """A model. ``config`` is plain JSON, of which a worker process makes an equal one."""

    @property
    def layout(self) -> Layout:
        """Of its parameters."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Of its parameters."""
        ...

    @property
    def parameters(self) -> Array:
        """``(size,)``."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """See the class."""
        ...

    @property
    def network(self) -> TrainableNetwork:
        """What it is without its parameters."""
        ...

    def open(self, shape: Shape, gradient: Array, losses: Array, rank: Rank, arenas: Arenas) -> BatchPasses:
        """The passes over batches of `shape`, which write `gradient` ``(size,)`` and the rank's of the `losses`."""
        ...

    def room(self, steps: int, lanes: int, ranks: int) -> tuple[int, int]:
        """The bytes that any batch up to `steps` × `lanes` needs: those that ranks share, and those of each."""
        ...

    def initial_state(
        self,
        lanes: int,
        rank: Rank = Rank(),  # noqa: B008 (it cannot change)
        arena: Arena | None = None,
    ) -> list[State]:
        """What the lanes carry from batch to batch, of zeros; an empty list where that is nothing."""
        ...

    def restart_head(self, parameters: Array, number: int) -> None:
        """Write new initial parameters of the head into a vector ``(size,)``: drawn by the seed and this `number`."""
        ...
