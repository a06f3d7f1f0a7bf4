"""Ragged batches: sequences of different lengths, those of about one length together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.model.batch import SequenceBatch
from ...core.model.padding import PADDING, pad
from ..sources import SourceError

__all__ = ["RaggedBatches"]

POOL = 20  # batches whose sequences are sorted together


class RaggedBatches:
    """Batches of up to `batch_size` B of the sequences `inputs`, all of them once an epoch, for `epochs` (None: ever).

    Each of `inputs` has a length of its own: indices ``(T,)``, integers, or features ``(T, I)``. `targets` has a class
    for each, integers ``(N,)``, or a sequence of indices ``(S,)`` for each.

    In each epoch the sequences are shuffled, then sorted by length within pools of 20 batches, and the batches are
    shuffled again, by the `seed` and the number of the epoch alone. A batch has the steps T of its longest sequence,
    one at least; behind the others are zeros, and ``lengths`` says how long they are. Its states begin from zeros.
    Its targets are ``(1, B)``, or ``(S, B)`` for its longest target, with `PADDING` behind the others. The last batch
    of a pool can have fewer lanes.

    ``largest`` are the most steps, T or S, and lanes of a batch, and ``per_epoch`` the batches of an epoch. Iterated
    over again, it begins anew, or where it was rewound to. Raises ArgumentError.
    """

    def __init__(
        self,
        inputs: Sequence[Array],
        targets: Array | Sequence[Array],
        batch_size: int = 64,
        *,
        epochs: int | None = 1,
        seed: int = 0,
    ) -> None:
        self.batch_size, self._seed = check_count("batch_size", batch_size), check_count("seed", seed, 0)
        self.epochs = None if epochs is None else check_count("epochs", epochs, 0)
        self._take(inputs, targets)
        self.largest = max(1, self._longest), min(self.batch_size, len(inputs))
        self.per_epoch = -(-len(inputs) // self.batch_size)
        self._begin = self._next = 0  # batches of all epochs

    def _take(self, inputs: Sequence[Array], targets: Array | Sequence[Array]) -> None:
        """Let the sequences be these. Raises ArgumentError."""
        self._inputs = _checked("inputs", inputs, least=1)
        if len(targets) != len(inputs):
            raise ArgumentError("targets", f"{len(inputs)}, as there are inputs", len(targets))
        self._lengths = np.array([len(one) for one in self._inputs], np.int64)
        self._targets: Array | list[Array]
        target_lengths = np.zeros(len(inputs), np.int64)
        if isinstance(targets, np.ndarray) and targets.ndim == 1 and targets.dtype.kind in "iu":
            self._targets = targets
        else:
            self._targets = _checked("targets", [*targets], most=1)
            target_lengths[:] = [len(one) for one in self._targets]
        # By length, then by that of the target; who is equal in both stays in the order of the shuffle.
        self._sizes = self._lengths * (target_lengths.max() + 1) + target_lengths
        self._longest = max(int(self._lengths.max()), int(target_lengths.max()))

    def position(self) -> dict[str, int]:
        """Where the next batch begins, as JSON."""
        epoch, batch = divmod(self._next, self.per_epoch)
        return {"epoch": epoch, "batch": batch, **self._made()}

    def rewind(self, position: Mapping[str, Any]) -> None:
        """Iterate from `position` on, that of as many sequences in such batches. Raises SourceError."""
        made = {name: position[name] for name in self._made()}
        if made != self._made():
            raise SourceError(f"ragged batches: a position of {made}, where this is {self._made()}")
        self._begin = self._next = int(position["epoch"]) * self.per_epoch + int(position["batch"])

    def _made(self) -> dict[str, int]:
        return {"sequences": len(self._inputs), "batch_size": self.batch_size, "seed": self._seed}

    def rows(self, epoch: int) -> list[Array]:
        """The sequences of each batch of the epoch of this number, from 0."""
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence((self._seed, epoch))))
        order, batches, pool = random.permutation(len(self._inputs)), list[Array](), POOL * self.batch_size
        for start in range(0, len(order), pool):
            part = order[start : start + pool]
            part = part[np.argsort(self._sizes[part], kind="stable")]
            batches += [part[at : at + self.batch_size] for at in range(0, len(part), self.batch_size)]
        return [batches[batch] for batch in random.permutation(len(batches))]

    def batch(self, rows: Array) -> SequenceBatch:
        """The batch of these sequences."""
        inputs = pad([self._inputs[row] for row in rows], 0)
        if isinstance(self._targets, np.ndarray):
            targets = self._targets[rows][None]
        else:
            targets = pad([self._targets[row] for row in rows], PADDING)
        return SequenceBatch(inputs, targets, reset=True, lengths=self._lengths[rows])

    def __iter__(self) -> Iterator[SequenceBatch]:
        self._next, of_epoch, rows = self._begin, -1, list[Array]()
        while self.epochs is None or self._next < self.epochs * self.per_epoch:
            epoch, batch = divmod(self._next, self.per_epoch)
            if epoch != of_epoch:
                of_epoch, rows = epoch, self.rows(epoch)
            self._next += 1
            yield self.batch(rows[batch])


def _checked(argument: str, sequences: Sequence[Array], *, least: int = 0, most: int = 2) -> list[Array]:
    """`sequences` as arrays: indices ``(T,)``, or of up to `most` axes features ``(T, I)``. Raises ArgumentError."""
    arrays = [np.asarray(sequence) for sequence in sequences]
    if len(arrays) < least:
        raise ArgumentError(argument, "at least one sequence", "none")
    for number, array in enumerate(arrays):
        alike = array.dtype == arrays[0].dtype and array.shape[1:] == arrays[0].shape[1:]
        indices = array.ndim == 1 and array.dtype.kind in "iu"
        if not alike or not (indices or (array.ndim == 2 <= most and array.dtype.kind == "f")):
            kinds = "indices (T,)" if most == 1 else "indices (T,) or features (T, I)"
            expected = f"sequences of {kinds}, all of one kind"
            raise ArgumentError(argument, expected, f"{array.dtype} {array.shape} for number {number}")
    return arrays
