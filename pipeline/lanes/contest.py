"""The contest of a champion and its challengers: whose forecasts are those that are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ...core.base.checks import ArgumentError, check_count
from ...core.base.parameters import Array
from ...core.base.state import Part
from ...core.model.batch import SequenceBatch
from ...core.online.bet import Bet
from .challenger import Challenger
from .forecast import Forecast, Listener
from .forecasts import ForecastMaker
from .live import Arrivals

__all__ = ["Contest"]


class Contest:
    """Lets `champion` and `challengers` forecast the same records, and tells who `hears` says of the leader's.

    The champion leads at first. For each of the others there is a `Bet` that its errors are less than the leader's,
    error after error as the truths come. Who wins leads from there on, `on_lead` is told of the record and of who it
    is, and all bets begin anew. Names are `CHAMPION` and those of the challengers.
    """

    CHAMPION = "champion"

    def __init__(
        self,
        champion: ForecastMaker,
        challengers: Sequence[Challenger],
        hears: Callable[[], Listener | None],
        on_lead: Callable[[int, int], None],
    ) -> None:
        self._makers = [champion, *[challenger.maker for challenger in challengers]]
        self.challengers, self._hears, self._on_lead = challengers, hears, on_lead
        self._bets = [Bet() for _ in self._makers]
        self.leader = 0
        self._made: list[Forecast | None] = [None] * len(self._makers)
        self._next = 0  # the record that comes next
        for index, maker in enumerate(self._makers):
            maker.compares = True
            maker.hears = partial(self._catcher, index)

    def _catcher(self, index: int) -> Listener | None:
        return None if self._hears() is None else partial(self._made.__setitem__, index)

    @property
    def names(self) -> list[str]:
        """Of all."""
        return [self.CHAMPION, *[challenger.name for challenger in self.challengers]]

    @property
    def maker(self) -> ForecastMaker:
        """That of the leader."""
        return self._makers[self.leader]

    def forecast(self, arrivals: Arrivals, version: int, parameters: Array) -> None:
        """Forecast these records; the champion with the `parameters` of its `version`."""
        self._made = [None] * len(self._makers)
        self._makers[0].forecast(arrivals, version, parameters)
        for challenger in self.challengers:
            challenger.forecast(arrivals)
        start, first = 0, arrivals.arrived.number + arrivals.start
        for at, leader in self._compare():
            self._tell(start, at)
            start, self.leader = at, leader
            self._on_lead(first + at, leader)
        self._tell(start, arrivals.stop - arrivals.start)
        self._next = first + arrivals.stop - arrivals.start

    def _compare(self) -> list[tuple[int, int]]:
        """Before which of the records somebody else leads, and who."""
        found, leader = [], self.leader
        errors = [maker.errors.tolist() for maker in self._makers]
        for place, at in enumerate(self._makers[0].told_at.tolist()):
            for index, bet in enumerate(self._bets):
                if index != leader and not (index and self.challengers[index - 1].failed):
                    bet.update(errors[index][place], errors[leader][place])
            won = [index for index, bet in enumerate(self._bets) if index != leader and bet.won]
            if won:
                leader = max(won, key=lambda index: self._bets[index].capital)
                self._bets = [Bet() for _ in self._makers]
                found.append((at, leader))
        return found

    def _tell(self, start: int, stop: int) -> None:
        """The leader's forecasts of these records are those that are told."""
        made = self._made[self.leader]
        if (listener := self._hears()) is not None and made is not None and stop > start:
            listener(made.part(start, stop))

    def learn(self, batch: SequenceBatch) -> None:
        """Let the challengers learn from the champion's next batch. Where the leader has failed, the champion leads."""
        for challenger in self.challengers:
            challenger.learn(batch)
        if self.leader and self.challengers[self.leader - 1].failed:
            self.leader, self._bets = 0, [Bet() for _ in self._makers]
            self._on_lead(self._next, 0)

    def forget(self, rows: Array) -> None:
        """The keys in these rows have gone; the champion's maker has been told."""
        for maker in self._makers[1:]:
            maker.forget(rows)

    def report(self) -> dict[str, Any]:
        """Who leads, and of each the ``metrics`` and how much evidence there is that it is better than the leader."""
        parts = zip(self.names, self._makers, self._bets, strict=True)
        each = [
            {"name": name, "metrics": maker.metrics()["all"], "evidence": bet.capital} for name, maker, bet in parts
        ]
        for one, challenger in zip(each[1:], self.challengers, strict=True):
            if challenger.failed:
                one["failed"] = challenger.failed
        return {"leader": self.names[self.leader], "contest": each}

    def dump(self, rows: int, slots: list[int]) -> Part:
        """All but what the champion has."""
        parts = {f"challenger{index}": one.dump(rows, slots) for index, one in enumerate(self.challengers)}
        parts |= {f"bet{index}": bet.dump() for index, bet in enumerate(self._bets)}
        return Part.of({"leader": self.leader, "next": self._next, "names": self.names}, **parts)

    def load(self, part: Part, rows: int) -> None:
        """Take up what `dump` gave. Raises ArgumentError where it does not fit."""
        if part.about.get("names") != self.names:
            raise ArgumentError("challengers", ", ".join(self.names), str(part.about.get("names")))
        for index, challenger in enumerate(self.challengers):
            challenger.load(part.part(f"challenger{index}"), rows)
        for index, bet in enumerate(self._bets):
            bet.load(part.part(f"bet{index}"))
        self._next = check_count("next", part.about.get("next"), 0)
        self.leader = check_count("leader", part.about.get("leader"), 0, len(self._makers) - 1)
