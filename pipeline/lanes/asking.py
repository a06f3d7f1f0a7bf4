"""Questions about records that can be answered where all that came has been forecast, and nothing more has come."""

from __future__ import annotations

import math
from collections.abc import Callable

import trio

from .live import Arrivals
from .record_lanes import LARGEST, LEAST, RecordLanes

__all__ = ["Asking"]

SOON = 0.042  # seconds that a piece is to take where somebody may ask, so that nobody waits for long
FIRST = 512  # records of the first such piece


class Asking:
    """Questions to be answered between two pieces of `lanes`; neither they nor the waiting change anything.

    As long as answers are wanted `soon`, a piece is as large as can be learned from in 42 ms.
    """

    def __init__(self, lanes: RecordLanes, soon: Callable[[], bool]) -> None:
        self._lanes, self._soon = lanes, soon
        self._questions: list[Callable[[], None]] = []
        self._told = 0  # records that have been forecast
        self._rested = -math.inf  # when they rested,
        self._number = 0  # and the records that there were then
        if soon():
            lanes.most = FIRST

    def ask(self, question: Callable[[], None], *, rests: bool) -> None:
        """Call `question` when it can be answered: now, where the records rest."""
        if rests and self._told == self._lanes.number:
            question()
            return
        self._questions.append(question)

    def forecast(self, arrivals: Arrivals) -> None:
        """These have been forecast."""
        self._told = max(self._told, arrivals.arrived.number + arrivals.stop)

    def answer(self) -> bool:
        """The records rest; whether somebody has been answered, who waits for a turn."""
        if self._told != self._lanes.number:
            return False
        questions, self._questions = self._questions, []
        for question in questions:
            question()
        self._divide()
        return bool(questions)

    def _divide(self) -> None:
        """Take as many records at once as will take as long as they should, by what the last ones have taken."""
        now, lanes = trio.current_time(), self._lanes
        taken, count = now - self._rested, lanes.number - self._number
        self._rested, self._number = now, lanes.number
        if not self._soon():
            lanes.most = LARGEST
        elif count and taken > 0:
            lanes.most = min(max(LEAST, int(SOON * count / taken)), 2 * lanes.most, LARGEST)

    def load(self) -> None:
        """The lanes have taken up what they had."""
        self._told = self._lanes.number
