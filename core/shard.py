"""A shard: some of a batch's lanes, with their hidden state and the workspaces of their batches in flight."""

from __future__ import annotations

from .batch import SequenceBatch
from .model import SequenceModel
from .parameters import Array

__all__ = ["Shard"]


class Shard:
    """Computes one slice of the lanes of every batch.

    `parameters` ``(slots, size)`` holds the parameter versions in use, `gradients` ``(workspaces, size)`` takes
    the results. The hidden state of the lanes is in here and
    nowhere else, and goes on from one `forward` to the next: call it in batch order.
    """

    def __init__(self, model: SequenceModel, steps: int, lanes: int, parameters: Array, gradients: Array) -> None:
        self._model, self._lanes, self._parameters = model, lanes, parameters
        self._workspaces = [model.workspace(steps, lanes, gradient) for gradient in gradients]
        self._state = model.initial_state(lanes)

    def forward(self, workspace: int, slot: int, batch: SequenceBatch) -> float:
        """The summed loss of the lanes in `batch`, with the parameters in `slot`; `workspace` keeps the rest."""
        if batch.reset:
            self._state = self._model.initial_state(self._lanes)
        return self._model.forward(
            self._parameters[slot], self._workspaces[workspace], batch.inputs, batch.targets, self._state
        )

    def backward(self, workspace: int, slot: int, scale: float) -> None:
        """Write the gradient of `scale` times the summed loss of `workspace` into its row of the gradients."""
        self._model.backward(self._parameters[slot], self._workspaces[workspace], scale)
