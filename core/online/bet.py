"""A test that can be looked at after each number: whether one forecast is better than another, by betting on it."""

from __future__ import annotations

import math

from ..base.checks import check_number
from ..base.state import Part

__all__ = ["Bet"]

ENOUGH = math.log(1000.0)  # the logarithm of the capital that is evidence enough
LEAST = -5.0  # what is lost beyond is forgotten, so that a late start is no burden for ever
MARGIN = 0.02  # of the mean error: to be better by less is not to be better
RANGE = 4.0  # mean errors: a larger difference counts as this
FADE = 0.995  # of the mean, and of the square, of differences
MOST = 0.5  # of the capital is bet at most
NUMBERS = ("capital", "mean", "square", "size")


class Bet:
    """Bets that `ours` is less than `theirs`, error after error, and more than by 2 % of their mean.

    Where it is not, the capital is as likely to shrink as to grow, and with a probability of 999 in 1,000 never becomes
    a thousand times what it once was: then it is `won`. What is bet is the mean of the differences so far over that of
    their squares, half of the capital at most. ``capital`` is its logarithm, at least −5.
    Source: Waudby-Smith, Ramdas (2020), Estimating means of bounded random variables by betting.
    """

    def __init__(self) -> None:
        self.capital = self.mean = self.square = self.size = 0.0

    def update(self, ours: float, theirs: float) -> None:
        """Take in the next pair of errors, both at least 0; nothing is learned where one is not finite."""
        if not (math.isfinite(ours) and math.isfinite(theirs)):
            return
        if self.size > 0:
            difference = min(max((theirs - ours) / (RANGE * self.size), -1.0), 1.0) - MARGIN / RANGE
            share = min(max(self.mean / self.square, 0.0), MOST) if self.square > 0 else 0.0
            self.capital = max(self.capital + math.log1p(share * difference), LEAST)
            self.mean = FADE * self.mean + (1 - FADE) * difference
            self.square = FADE * self.square + (1 - FADE) * difference * difference
            self.size = FADE * self.size + (1 - FADE) * theirs
        else:
            self.size = theirs

    @property
    def won(self) -> bool:
        """Whether the evidence is enough."""
        return self.capital >= ENOUGH

    def dump(self) -> Part:
        """All of it."""
        return Part({}, {name: getattr(self, name) for name in NUMBERS})

    def load(self, part: Part) -> None:
        """Take up what `dump` gave. Raises ArgumentError."""
        for name in NUMBERS:
            setattr(self, name, check_number(name, part.about.get(name), -math.inf))
