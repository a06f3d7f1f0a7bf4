"""What a run says of each record, or row, that cannot be used: in a file, and in warnings."""

from __future__ import annotations

from ..decoding.block import Reject
from ..decoding.quarantine import Quarantine
from .display import Display

__all__ = ["Rejects"]

NAMED = 3  # rejects that are named, where not all are


class Rejects:
    """Puts rejects into the `quarantine`, and names the first three of them to the `display`, or with `verbose` all."""

    def __init__(self, quarantine: Quarantine, display: Display, *, verbose: bool) -> None:
        self.quarantine, self._display, self._verbose = quarantine, display, verbose

    def add(self, reject: Reject) -> None:
        """Put this one there."""
        self.quarantine.add([reject])
        if self._verbose or self.quarantine.count <= NAMED:
            where = f"{reject.origin} line {reject.line}"
            more = "; further ones are counted" if self.quarantine.count == NAMED and not self._verbose else ""
            self._display.warn(f"rejected: {where}: {reject.reason}{more}")
