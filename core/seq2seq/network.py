"""What an encoder–decoder is, without its parameters: two embeddings, two stacks, attention?, a head and its loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from ..base.checks import ArgumentError, check_array
from ..base.parameters import Array, Layout
from ..cells.buffers import Weights
from ..cells.masks import Masks, check_lengths, mask_arrays, present_steps
from ..layers.embedding import check_indices
from ..layers.stack import Stack
from ..losses.loss import CrossEntropyLoss
from ..model.batch import BatchSpec, SequenceBatch
from .scores import Score

__all__ = ["Blocks", "EncoderDecoderNetwork"]


class Blocks(NamedTuple):
    """A vector of parameters as the passes take it: ``views`` by name, and the weights of the stacks among them."""

    views: dict[str, Array]
    encoder: list[Weights]
    decoder: list[Weights]


@dataclass(frozen=True)
class EncoderDecoderNetwork:
    """The parts of a model, with the `score` of its attention, and whether that `feeds` the decoder.

    It is a `recurrio.core.model.trainable.TrainableNetwork`, for one rank."""

    encoder: Stack
    decoder: Stack
    source_size: int
    target_size: int
    start: int
    score: Score | None
    feeds: bool
    loss: CrossEntropyLoss
    layout: Layout

    @property
    def most_ranks(self) -> int:
        """One."""
        return 1

    @property
    def draws(self) -> bool:
        """Whether a forward pass in training draws random numbers."""
        return self.encoder.dropout > 0

    def blocks(self, parameters: Array) -> Blocks:
        """The blocks of `parameters` ``(size,)``, as views."""
        views = self.layout.views(parameters)
        return Blocks(views, self.encoder.weights(views, "encoder.rnn."), self.decoder.weights(views, "decoder.rnn."))

    def shape(self, batch: SequenceBatch) -> tuple[int, int, int]:
        """T, S and B of `batch`."""
        steps, lanes = batch.inputs.shape
        return steps, len(batch.targets), lanes

    def largest(self, steps: int, lanes: int) -> tuple[int, int, int]:
        """The shape of batches whose sources and targets have so many `steps`."""
        return steps, steps, lanes

    def steps(self, batch: SequenceBatch) -> int:
        """T, or S where that is more."""
        return max(len(batch.inputs), len(batch.targets))

    def spec(self, steps: int, lanes: int) -> BatchSpec:
        """The arrays of batches of up to so many `steps`, of sources and of targets, of B `lanes`."""
        return BatchSpec(steps, lanes, partial(self._arrays, steps))

    @staticmethod
    def _arrays(most: int, steps: int, lanes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each array of a batch, by its name in `SequenceBatch`, with the `most` targets."""
        index = np.dtype(np.int64)
        return {"inputs": ((steps, lanes), index), "targets": ((most, lanes), index), **mask_arrays(steps, lanes)}

    def masks(self, steps: int, lanes: int, lengths: Array | None) -> Masks | None:
        """The masks of the sources; None where all their steps exist."""
        return Masks.of(steps, lanes, lengths, None)

    def before(self, targets: Array) -> Array:
        """What the decoder reads ``(S, B)``: the `targets` behind the start symbol, one step later."""
        before = np.full(targets.shape, self.start, np.int64)
        np.copyto(before[1:], targets[:-1], where=targets[:-1] != self.loss.ignore_index)
        return before

    def total(self, batch: SequenceBatch) -> float:
        """What the summed loss of `batch`, or of each of its shards, is divided by."""
        return self.loss.total(batch.targets, None, self.target_size)

    def check_inputs(self, inputs: Array, lengths: Array | None) -> None:
        """Raise ArgumentError unless these are sources that the model can read."""
        check_array("inputs", inputs, ("T", "B"))
        steps, lanes = inputs.shape
        if not steps or not lanes:
            raise ArgumentError("inputs", "at least one step and one lane", inputs.shape)
        if lengths is not None:
            check_lengths(lengths, steps, lanes)
        check_indices("inputs", inputs, self.source_size, None if lengths is None else present_steps(steps, lengths))

    def check(self, batch: SequenceBatch) -> None:
        """Raise ArgumentError unless `batch` is one that the model can be trained on."""
        if not isinstance(batch, SequenceBatch):
            raise ArgumentError("batch", "a SequenceBatch", type(batch).__name__)
        self.check_inputs(batch.inputs, batch.lengths)
        for name in ("rows", "carry"):
            if getattr(batch, name) is not None:
                raise ArgumentError(name, "None for an encoder–decoder, which carries no state", "an array")
        if not isinstance(batch.reset, bool) or batch.classes:
            name = "classes" if isinstance(batch.reset, bool) else "reset"
            raise ArgumentError(name, "the default for an encoder–decoder", "another value")
        targets = batch.targets
        check_array("targets", targets, ("S", batch.inputs.shape[1]))
        self.loss.check((*targets.shape, self.target_size), self.decoder.dtype, targets)
        ignored = targets == self.loss.ignore_index
        if (ignored[:-1] > ignored[1:]).any():
            expected = f"{self.loss.ignore_index} only behind all other targets of a lane"
            raise ArgumentError("targets", expected, "it before another")
