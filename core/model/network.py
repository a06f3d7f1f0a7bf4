"""What a sequence model is, without its parameters: embedding? → recurrent stack → head → loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_array
from ..base.parameters import Array, Layout
from ..cells.buffers import Weights
from ..cells.masks import Masks, check_lengths, mask_arrays, present_steps
from ..layers.embedding import check_indices, folds
from ..layers.stack import Stack
from ..losses.loss import Loss
from .batch import BatchSpec, SequenceBatch
from .heads.head import Head

__all__ = ["Blocks", "Network"]


class Blocks(NamedTuple):
    """A vector of parameters as the passes take it: ``views`` by name, and the ``weights`` of the stack among them."""

    views: dict[str, Array]
    weights: list[Weights]


@dataclass(frozen=True)
class Network:
    """The parts of a model. `vocabulary_size` is None where the inputs are features.

    `embedding_dropout` and `output_dropout` are the probabilities that a number drops out behind the embedding, and of
    what the linear layer of the head takes.
    """

    stack: Stack
    vocabulary_size: int | None
    output_size: int
    head: Head
    loss: Loss
    layout: Layout
    embedding_dropout: float
    output_dropout: float

    @property
    def draws(self) -> bool:
        """Whether a forward pass in training draws random numbers."""
        return max(self.stack.dropout, self.stack.zoneout, self.embedding_dropout, self.output_dropout) > 0

    def blocks(self, parameters: Array) -> Blocks:
        """The blocks of `parameters` ``(size,)``, as views."""
        views = self.layout.views(parameters)
        return Blocks(views, self.stack.weights(views, "rnn."))

    @property
    def most_ranks(self) -> int:
        """How many ranks can share the units."""
        return self.stack.most_ranks

    def steps(self, batch: SequenceBatch) -> int:
        """T."""
        return len(batch.inputs)

    def shape(self, batch: SequenceBatch) -> tuple[int, int]:
        """T and B of `batch`."""
        steps, lanes = batch.inputs.shape[:2]
        return steps, lanes

    def largest(self, steps: int, lanes: int) -> tuple[int, int]:
        """The shape of batches of `steps` of `lanes`."""
        return steps, lanes

    def folds(self, steps: int, lanes: int) -> bool:
        """Whether the embedding of a batch of this shape is folded into the first layer."""
        if self.vocabulary_size is None or self.embedding_dropout:
            return False
        return folds(self.stack, steps, lanes, self.vocabulary_size)

    def masks(self, batch: SequenceBatch) -> Masks | None:
        """The masks of `batch`; None where all its steps exist and no lane starts anew within it."""
        reset = None if isinstance(batch.reset, bool) else batch.reset
        return Masks.of(batch.inputs.shape[0], batch.inputs.shape[1], batch.lengths, reset)

    def counted(self, batch: SequenceBatch) -> Array | None:
        """Which targets of `batch` count: a mask ``(S, B)``, or None for all."""
        if batch.lengths is None:
            return None
        return present_steps(self.head.target_steps(len(batch.inputs)), batch.lengths)

    def total(self, batch: SequenceBatch) -> float:
        """What the summed loss of `batch`, or of each of its shards, is divided by."""
        return self.loss.total(batch.targets, self.counted(batch), self.output_size)

    def spec(self, steps: int, lanes: int) -> BatchSpec:
        """The arrays of batches of up to `T` steps of `B` lanes."""
        return BatchSpec(steps, lanes, self.arrays)

    def arrays(self, steps: int, lanes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each array of a batch of `T` steps of `B` lanes, by its name in `SequenceBatch`.

        Targets by lane can have fewer rows, and more, which are not read.
        """
        features, dtype = (steps, lanes, self.stack.sizes[0].input_size), self.stack.dtype
        indices = self.vocabulary_size is not None
        targets = (self.head.target_steps(steps), lanes, self.output_size)
        return {
            "inputs": (features[:2], np.dtype(np.int64)) if indices else (features, dtype),
            "targets": self.loss.target_array(targets, dtype),
            **mask_arrays(steps, lanes),
        }

    def check_inputs(self, inputs: Array, lengths: Array | None, reset: bool | Array) -> None:
        """Raise ArgumentError unless these are what the model takes; see `SequenceBatch`."""
        if self.vocabulary_size is None:
            check_array("inputs", inputs, ("T", "B", self.stack.sizes[0].input_size), self.stack.dtype)
        else:
            check_array("inputs", inputs, ("T", "B"))
        steps, lanes = inputs.shape[:2]
        if not steps or not lanes:
            raise ArgumentError("inputs", "at least one step and one lane", inputs.shape)
        if lengths is not None:
            check_lengths(lengths, steps, lanes)
        if not isinstance(reset, bool):
            check_array("reset", reset, (steps, lanes), np.dtype(bool))
        if self.vocabulary_size is not None:
            present = None if lengths is None else present_steps(steps, lengths)
            check_indices("inputs", inputs, self.vocabulary_size, present)

    def check(self, batch: SequenceBatch) -> None:
        """Raise ArgumentError unless `batch` is one that the model can be trained on."""
        if not isinstance(batch, SequenceBatch):
            raise ArgumentError("batch", "a SequenceBatch", type(batch).__name__)
        self.check_inputs(batch.inputs, batch.lengths, batch.reset)
        steps, lanes = batch.inputs.shape[:2]
        if batch.carry is not None:
            check_lengths(batch.carry, steps, lanes, "carry")
            if self.stack.directions == 2 or batch.rows is None:
                expected = "None for two directions, and where there are no rows"
                raise ArgumentError("carry", expected, batch.carry)
        shape = (self.head.target_steps(steps), lanes, self.output_size)
        self.loss.check(shape, self.stack.dtype, batch.targets, self.counted(batch))
