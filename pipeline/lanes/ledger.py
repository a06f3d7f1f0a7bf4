"""The ledger: what has become of each record that was received."""

from __future__ import annotations

from collections import deque

from ...core.online.learned import Learned
from .packer import Packed

__all__ = ["Ledger"]


class Ledger:
    """Counts records: ``received = applied + unlabelled + dropped + rejected``, and those that still ``wait``.

    A record is ``applied`` when a batch with its label has changed the weights, ``unlabelled`` when it has been in one
    without a label, or its key has gone before one came, and ``dropped`` where its batch was never applied.
    """

    def __init__(self) -> None:
        self.received = self.rejected = self.applied = self.unlabelled = self.dropped = 0
        self._flying: deque[Packed] = deque()  # the batches that are on their way, without what is in them
        self.learned: Learned | None = None  # what had been learned with the last record of the last batch applied

    @property
    def waiting(self) -> int:
        """Records that nothing has become of yet."""
        return self.received - self.rejected - self.applied - self.unlabelled - self.dropped

    def pack(self, packed: Packed) -> None:
        """A batch is on its way."""
        self._flying.append(packed._replace(batch=None))

    def apply(self) -> None:
        """The first of those on their way has been applied."""
        packed = self._flying.popleft()
        self.applied += packed.labelled
        self.unlabelled += packed.unlabelled
        self.learned = packed.learned

    def drop(self) -> None:
        """Those on their way will not be applied."""
        self.dropped += sum(packed.labelled + packed.unlabelled for packed in self._flying)
        self._flying.clear()

    def counts(self) -> dict[str, int]:
        """As in a report."""
        names = ("applied", "unlabelled", "dropped", "rejected", "waiting")
        return {"records": self.received, **{name: getattr(self, name) for name in names}}
