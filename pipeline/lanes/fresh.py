"""Ragged batches of sequences that are made anew for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from .ragged import RaggedBatches

__all__ = ["FreshBatches"]


class FreshBatches(RaggedBatches):
    """`RaggedBatches` of other sequences in each epoch: `make` gives the inputs and the targets of the one of a number.

    It is called for epoch 0 at once, and for each epoch when that begins, in the event loop; it makes as many sequences
    each time, of up to `longest` steps. What it makes depends on the number alone: then a run that goes on has the
    same batches as one that was never cut short.

    Raises ArgumentError, also where an epoch begins that has another number of sequences, or a longer one.
    """

    def __init__(
        self,
        make: Callable[[int], tuple[Sequence[Array], Array | Sequence[Array]]],
        batch_size: int = 64,
        *,
        longest: int,
        epochs: int | None = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(*make(0), batch_size, epochs=epochs, seed=seed)
        self._make, self._made_for = make, 0
        self.largest = check_count("longest", longest), self.largest[1]
        self._check(len(self._inputs))

    def rows(self, epoch: int) -> list[Array]:
        """The sequences of each batch of the epoch of this number, which are made now."""
        if epoch != self._made_for:
            count = len(self._inputs)
            self._take(*self._make(epoch))
            self._made_for = epoch
            self._check(count)
        return super().rows(epoch)

    def _check(self, count: int) -> None:
        """Raise ArgumentError where the sequences are not so many, or longer than was said."""
        if len(self._inputs) != count:
            expected = f"{count} sequences in each epoch"
            raise ArgumentError("make", expected, f"{len(self._inputs)} in that of number {self._made_for}")
        if self._longest > self.largest[0]:
            expected = f"at most {self.largest[0]} steps, as longest says"
            raise ArgumentError("make", expected, f"{self._longest} in the epoch of number {self._made_for}")
