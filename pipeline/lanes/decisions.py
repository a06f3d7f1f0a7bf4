"""What the clock has decided of a run over records, so that another run can decide the same."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from ...core.base.checks import ArgumentError, check_count
from ..sources.journal import Journal

__all__ = [
    *("CUT", "DRIFT", "DROP", "DROP_REJECTS", "EXPIRE", "GIVE_UP", "LEAD", "OF_SOURCES", "TURN"),
    *("Decision", "DecisionLog"),
]

CUT, EXPIRE, GIVE_UP, TURN, DROP, DROP_REJECTS = "cut", "expire", "give-up", "turn", "drop", "drop-rejects"
DRIFT, LEAD = "drift", "lead"
ENCODE, DECODE = msgspec.msgpack.Encoder().encode, msgspec.msgpack.decode
KINDS = (CUT, EXPIRE, GIVE_UP, TURN, DROP, DROP_REJECTS, DRIFT, LEAD)
OF_CLOCK = (CUT, EXPIRE, GIVE_UP)  # are taken again in its place; the other ones follow from the records
OF_SOURCES = (TURN, DROP, DROP_REJECTS)  # are for whoever reads from several


class Decision(NamedTuple):
    """Before the item `number` came, a record or a label by itself, what was older than `before` was done with.

    `kind` is CUT: open chunks were closed that began before the record `before` that was learned; EXPIRE: keys went
    that were last used before the record `before`; or GIVE_UP: what came before the item `before` waits no longer. It
    may be TURN: from there on items are of the source `before`; or DROP, or DROP_REJECTS: of the source whose turn it
    is so many records, or rejects, were dropped there. Or DRIFT: one was found with the record `number`, and with the
    next batch was done what is to be done then. Or LEAD: from the record `number` on, forecasts are those of the
    challenger `before`, from 1, or of the champion, 0.
    """

    number: int
    kind: str
    before: int


class DecisionLog:
    """The decisions of a run in their order. Those of another, `given`, are taken in the place of the clock's.

    ``kept`` are the newest of them, `limit` at most; ``count`` is how many there were. Those of sources among them are
    for `recurrio.pipeline.lanes.merged` to take. With a `journal` each is written there before it is carried out, and a
    run that goes on takes those that are there, and behind them its own.
    """

    def __init__(
        self, given: Iterable[Decision] | None = None, limit: int = 1 << 14, journal: Journal | None = None
    ) -> None:
        self._given = (
            None if given is None else sorted((Decision(*each) for each in given), key=lambda each: each.number)
        )
        for decision in self._given or ():
            if decision.kind not in KINDS:
                raise ArgumentError("decisions", f"one of {', '.join(KINDS)}", repr(decision.kind))
        if self._given is not None:
            self._given = [decision for decision in self._given if decision.kind in OF_CLOCK]
        self._journal, self._always = journal, given is not None
        self._source = 0  # whose turn it is
        self._limit, self._taken = limit, 0
        self._kept = array("q")  # three numbers each, as a run of weeks takes many
        self.count = 0

    @property
    def kept(self) -> list[Decision]:
        """See the class."""
        numbers = iter(self._kept)
        return [Decision(number, KINDS[kind], before) for number, kind, before in zip(*[numbers] * 3, strict=True)]

    @property
    def replays(self) -> bool:
        """Whether the clock decides nothing, or nothing yet."""
        return self._given is not None and (self._always or self._taken < len(self._given))

    def note(self, decision: Decision) -> None:
        """Keep a decision that is about to be carried out. Raises OSError."""
        if self._journal is not None and self.count >= self._journal.end:
            self._journal.append(ENCODE((decision.number, KINDS.index(decision.kind), decision.before)))
        self.count += 1
        self._kept.extend((decision.number, KINDS.index(decision.kind), decision.before))
        if len(self._kept) > 3 * self._limit:
            del self._kept[: 3 * (self._limit // 2)]

    def turn(self, number: int, source: int) -> None:
        """From the record `number` on they are of this `source`."""
        if source != self._source:
            self._source = source
            self.note(Decision(number, TURN, source))

    def drop(self, number: int, source: int, records: int, rejects: int) -> None:
        """Before the record `number`, which is of this `source`, so many of its records and rejects were dropped."""
        self._source = source
        for kind, before in ((TURN, source), (DROP, records), (DROP_REJECTS, rejects)):
            if kind == TURN or before:
                self.note(Decision(number, kind, before))

    def dump(self) -> dict[str, int]:
        """How many decisions there were, and whose turn it is."""
        return {"count": self.count, "source": self._source}

    def load(self, state: dict[str, int]) -> list[Decision]:
        """Take up what `dump` gave, and what was decided since; what of that is of sources. Raises SourceError."""
        self.count, self._source = check_count("count", state["count"], 0), check_count("source", state["source"], 0)
        if self._journal is None or self._always:
            return []
        since = []
        for _, data in self._journal.read(self.count) if self._journal.end >= self.count else ():
            number, kind, before = DECODE(data)
            since.append(Decision(number, KINDS[kind], before))
        self._given, self._taken = [decision for decision in since if decision.kind in OF_CLOCK], 0
        return [decision for decision in since if decision.kind in OF_SOURCES]

    def due(self, number: int) -> list[Decision]:
        """Those given for the record `number` and before, which were not taken yet."""
        start = self._taken
        given = self._given or []
        while self._taken < len(given) and given[self._taken].number <= number:
            self._taken += 1
        return given[start : self._taken]

    def next(self) -> int | None:
        """The record that the next given one is for; None where there is none."""
        given = self._given or []
        return given[self._taken].number if self._taken < len(given) else None
