"""The ledger: what has become of each record that was received."""

from __future__ import annotations

from collections import deque

__all__ = ["Ledger"]


class Ledger:
    """Counts records: ``received = applied + unlabelled + dropped + rejected``, and those that still ``wait``.

    A record is ``applied`` when a batch with its label has changed the weights, ``unlabelled`` when it has been in one
    without a label, or its key has gone before one came, and ``dropped`` where its batch was never applied.
    """

    def __init__(self) -> None:
        self.received = self.rejected = self.applied = self.unlabelled = self.dropped = 0
        self._flying: deque[tuple[int, int]] = deque()  # of each batch that is on its way: labelled, unlabelled

    @property
    def waiting(self) -> int:
        """Records that nothing has become of yet."""
        return self.received - self.rejected - self.applied - self.unlabelled - self.dropped

    def pack(self, labelled: int, unlabelled: int) -> None:
        """A batch with so many records is on its way."""
        self._flying.append((labelled, unlabelled))

    def apply(self) -> None:
        """The first of those on their way has been applied."""
        labelled, unlabelled = self._flying.popleft()
        self.applied += labelled
        self.unlabelled += unlabelled

    def drop(self) -> None:
        """Those on their way will not be applied."""
        self.dropped += sum(labelled + unlabelled for labelled, unlabelled in self._flying)
        self._flying.clear()

    def counts(self) -> dict[str, int]:
        """As in a report."""
        names = ("applied", "unlabelled", "dropped", "rejected", "waiting")
        return {"records": self.received, **{name: getattr(self, name) for name in names}}
