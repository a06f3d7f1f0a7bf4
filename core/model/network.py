"""What a sequence model is, without its parameters: embedding? → recurrent stack → head → loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..base.checks import ArgumentError, check_array
from ..base.parameters import Array, Layout
from ..cells.masks import Masks, check_lengths, present_steps
from ..layers.embedding import check_tokens
from ..layers.stack import Stack
from ..losses.loss import CrossEntropyLoss, Loss
from .batch import SequenceBatch

__all__ = ["OUTPUTS", "Network"]

OUTPUTS = ("steps", "last", "mean")


@dataclass(frozen=True)
class Network:
    """The parts of a model. `vocabulary_size` is None where the inputs are features; `output` is one of `OUTPUTS`."""

    stack: Stack
    vocabulary_size: int | None
    output_size: int
    output: str
    loss: Loss
    layout: Layout

    def masks(self, batch: SequenceBatch) -> Masks | None:
        """The masks of `batch`; None where all its steps exist and no lane starts anew within it."""
        reset = None if isinstance(batch.reset, bool) else batch.reset
        return Masks.of(batch.inputs.shape[0], batch.inputs.shape[1], batch.lengths, reset)

    def counted(self, batch: SequenceBatch) -> Array | None:
        """Which targets of `batch` count: a mask ``(S, B)``, or None for all."""
        if batch.lengths is None:
            return None
        return present_steps(len(batch.inputs) if self.output == "steps" else 1, batch.lengths)

    def total(self, batch: SequenceBatch) -> float:
        """What the summed loss of `batch`, or of each of its shards, is divided by."""
        return self.loss.total(batch.targets, self.counted(batch), self.output_size)

    def arrays(self, steps: int, lanes: int) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """The shape and dtype of each array of a batch of `T` steps of `B` lanes, to set memory aside for it."""
        token, dtype, outputs = np.dtype(np.int64), self.stack.dtype, steps if self.output == "steps" else 1
        features = self.stack.sizes[0].input_size
        classes = isinstance(self.loss, CrossEntropyLoss)
        return {
            "inputs": ((steps, lanes, features), dtype) if self.vocabulary_size is None else ((steps, lanes), token),
            "targets": ((outputs, lanes), token) if classes else ((outputs, lanes, self.output_size), dtype),
            "reset": ((steps, lanes), np.dtype(bool)),
            "lengths": ((lanes,), np.dtype(np.int64)),
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
            check_tokens("inputs", inputs, self.vocabulary_size, present)

    def check(self, batch: SequenceBatch) -> None:
        """Raise ArgumentError unless `batch` is one that the model can be trained on."""
        if not isinstance(batch, SequenceBatch):
            raise ArgumentError("batch", "a SequenceBatch", type(batch).__name__)
        self.check_inputs(batch.inputs, batch.lengths, batch.reset)
        steps, lanes = batch.inputs.shape[:2]
        shape = (steps if self.output == "steps" else 1, lanes, self.output_size)
        self.loss.check(shape, self.stack.dtype, batch.targets, self.counted(batch))
