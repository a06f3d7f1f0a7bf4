"""Questions about records that can be answered where all that came has been forecast, and nothing more has come."""

from __future__ import annotations

from collections.abc import Callable

from .live import Arrivals
from .record_lanes import LARGEST, RecordLanes

__all__ = ["Asking"]

SOON = 512  # records that are taken at once while somebody asks, so that nobody waits for long
QUIET = 200  # such pieces without a question, after which they are as large as before


class Asking:
    """Questions to be answered between two pieces of `lanes`; neither they nor the waiting change anything."""

    def __init__(self, lanes: RecordLanes) -> None:
        self._lanes = lanes
        self._questions: list[Callable[[], None]] = []
        self._told = 0  # records that have been forecast
        self._quiet = 0

    def ask(self, question: Callable[[], None], *, rests: bool) -> None:
        """Call `question` when it can be answered: now, where the records rest."""
        if rests and self._told == self._lanes.number:
            question()
            return
        self._lanes.most, self._quiet = SOON, 0
        self._questions.append(question)

    def forecast(self, arrivals: Arrivals) -> None:
        """These have been forecast."""
        self._told = max(self._told, arrivals.arrived.number + arrivals.stop)

    def answer(self) -> None:
        """The records rest."""
        if self._told != self._lanes.number:
            return
        questions, self._questions = self._questions, []
        for question in questions:
            question()
        self._quiet = 0 if questions else self._quiet + 1
        if self._quiet > QUIET:
            self._lanes.most = LARGEST

    def load(self) -> None:
        """The lanes have taken up what they had."""
        self._told = self._lanes.number
