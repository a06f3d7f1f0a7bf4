"""Which record makes a batch, one record after another: what `Packer.plan` says of many at once, before they come.

Records that wait for their labels are let go one by one, and what lets them go cannot be taken back.
"""

from __future__ import annotations

from .packer import Packer

__all__ = ["Foresight"]


class Foresight:
    """Counts the batches that `packer` would make of the records that it is told of, from ``number`` on."""

    def __init__(self, packer: Packer) -> None:
        self._packer, self._number = packer, packer.number
        self._come: dict[int, int] = {}  # records by the rows of their keys,
        self._begun: dict[int, tuple[int, int]] = {}  # see `Packer.begun`
        self._stride = 1
        self.batches = 0
        self._rows: set[int] = set()  # of the keys of the chunks that wait
        self._full = self._due = 0  # at how many chunks they are a batch, and with which record
        closing = packer.waiting_chunks
        for row, number, keys in zip(
            closing.rows.tolist(), closing.numbers.tolist(), closing.keys.tolist(), strict=True
        ):
            self._close(row if row >= 0 else ~row, number, keys)
        assert not self.batches

    def add(self, row: int, keys: int) -> None:
        """The next record is of the key in this row, one of so many keys."""
        packer, number = self._packer, self._number
        come = self._come.get(row, 0)
        self._number, self._come[row] = number + 1, come + 1
        # `Packer.plan` has the same for arrays.
        self._stride = stride = max(self._stride, packer.stride.at(keys, number))
        begin, pace = self._begun.get(row) or packer.begun(row)
        end = int(packer.count[row]) + come - (packer.horizon - 1)
        if end - begin >= (pace or stride):
            self._begun[row] = end, stride
            self._close(row, number, keys)
        if self._rows and number >= self._due:
            self._make()

    def _close(self, row: int, number: int, keys: int) -> None:
        """A chunk is closed by this record."""
        if row in self._rows:
            self._make()
        if not self._rows:
            self._full, self._due = min(self._packer.batch_size, keys), number + self._packer.bound
        self._rows.add(row)
        if len(self._rows) >= self._full:
            self._make()

    def _make(self) -> None:
        self.batches += 1
        self._rows.clear()
